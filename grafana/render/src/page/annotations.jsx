import { useLayoutEffect } from 'react';
import { colorManipulator } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';

const MARKER = 5;

/** Annotations as Grafana draws them: a dashed line, a shade where one lasts, a marker below the axis. */
export function Annotations({ config, annotations }) {
  const theme = useTheme2();
  useLayoutEffect(() => {
    config.addHook('draw', (plot) => {
      for (const annotation of annotations)
        draw(plot, annotation, theme.visualization.getColorByName(annotation.color));
    });
  }, [config, annotations, theme]);
  return null;
}

function draw(plot, { time, timeEnd }, color) {
  const { ctx, bbox } = plot;
  const position = (at) => Math.round(plot.valToPos(at, 'x', true));
  const [left, right] = [position(time), position(timeEnd)];
  const [start, end] = [bbox.left, bbox.left + bbox.width];
  if (right < start || left > end) return;
  const bottom = bbox.top + bbox.height;
  ctx.save();
  ctx.strokeStyle = color;
  ctx.fillStyle = color;
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.setLineDash([5 * devicePixelRatio, 5 * devicePixelRatio]);
  for (const x of new Set([left, right])) {
    if (x < start || x > end) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bottom);
    ctx.stroke();
  }
  const size = MARKER * devicePixelRatio;
  if (right > left) {
    const [from, to] = [Math.max(left, start), Math.min(right, end)];
    ctx.fillRect(from, bottom, to - from, size);
    ctx.fillStyle = colorManipulator.alpha(color, 0.1);
    ctx.fillRect(from, bbox.top, to - from, bbox.height);
  } else {
    ctx.beginPath();
    ctx.moveTo(left, bottom);
    ctx.lineTo(left - size, bottom + size);
    ctx.lineTo(left + size, bottom + size);
    ctx.fill();
  }
  ctx.restore();
}
