import { standardTransformers, standardTransformersRegistry, transformDataFrame } from '@grafana/data';

standardTransformersRegistry.setInit(() =>
  Object.values(standardTransformers)
    .filter((transformer, index, all) => all.findIndex(({ id }) => id === transformer.id) === index)
    .map((transformer) => ({ id: transformer.id, name: transformer.name, transformation: () => transformer })),
);

export async function transform(frames, transformations, interpolate) {
  return new Promise((resolve, reject) => {
    transformDataFrame(transformations, frames, { interpolate }).subscribe({ next: resolve, error: reject });
  });
}
