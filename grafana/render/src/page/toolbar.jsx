import React from 'react';
import { dateTimeFormat } from '@grafana/data';
import { Icon, useTheme2 } from '@grafana/ui';

const HIDE_LABEL = 1;
const HIDE_ALL = 2;

/** The dashboard's title, variables, links and time range, in the look of Grafana's controls. */
export function Toolbar({ dashboard, dashboards, range, variables }) {
  const theme = useTheme2();
  const line = {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: theme.spacing(1),
    marginBottom: theme.spacing(2),
  };
  const shown = [...variables.values()].filter(({ type, hide }) => type && hide !== HIDE_ALL);
  return (
    <>
      <div style={{ ...line, fontSize: theme.typography.h4.fontSize, fontWeight: theme.typography.fontWeightMedium }}>
        {dashboard.title}
      </div>
      <div style={line}>
        {shown.map(({ name, label, text, hide }) => (
          <Control key={name} label={hide === HIDE_LABEL ? undefined : label}>
            {text} <Icon name="angle-down" />
          </Control>
        ))}
        <span style={{ flexGrow: 1 }} />
        {(dashboard.links ?? [])
          .flatMap((link) => targets(link, dashboards))
          .map((title) => (
            <Control key={title}>
              {title} <Icon name="external-link-alt" size="sm" />
            </Control>
          ))}
        <Control>
          <Icon name="clock-nine" /> {describe(range)}
        </Control>
      </div>
    </>
  );
}

function Control({ label, children }) {
  const theme = useTheme2();
  const box = {
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(0.5),
    height: theme.spacing(theme.components.height.md),
    padding: theme.spacing(0, 1),
    border: `1px solid ${theme.components.input.borderColor}`,
    background: theme.components.input.background,
    fontSize: theme.typography.body.fontSize,
  };
  const [left, right] = [
    `${theme.shape.radius.default} 0 0 ${theme.shape.radius.default}`,
    `0 ${theme.shape.radius.default} ${theme.shape.radius.default} 0`,
  ];
  const name = { ...box, borderRight: 'none', borderRadius: left, background: theme.colors.background.primary };
  return (
    <span style={{ display: 'flex' }}>
      {label && (
        <span style={{ ...name, fontSize: theme.typography.bodySmall.fontSize, fontWeight: 500 }}>{label}</span>
      )}
      <span style={{ ...box, borderRadius: label ? right : theme.shape.radius.default }}>{children}</span>
    </span>
  );
}

function targets({ type, title, tags, asDropdown }, dashboards) {
  if (type !== 'dashboards' || asDropdown) return [title];
  return dashboards.filter((other) => tags.every((tag) => other.tags?.includes(tag))).map((other) => other.title);
}

function describe({ from, to }) {
  return `${dateTimeFormat(from)} to ${dateTimeFormat(to)}`;
}
