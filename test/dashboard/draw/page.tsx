// SPDX-License-Identifier: Apache-2.0

// Draws docs/grafana/forebay.json with Grafana's own components: @grafana/data makes frames, units, overrides and
// names of them, and @grafana/ui draws panels, graphs and legends. What Grafana's server and its page around the panels
// do is done here: the grid, the variables (each is All) and the queries. The address of Prometheus and the minutes to
// show are in the page's query: ?prometheus=http://127.0.0.1:9090&minutes=5

import React from 'react';
import { createRoot } from 'react-dom/client';
import {
  type DataFrame, FieldConfigOptionsRegistry, FieldType, ThemeContext, type TimeRange, applyFieldOverrides, createTheme,
  dateTime, identityOverrideProcessor, toDataFrame,
} from '@grafana/data';
import { GlobalStyles, PanelChrome, TimeSeries } from '@grafana/ui';
import plotStyle from 'uplot/dist/uPlot.min.css';
import dashboard from './forebay.json';

type Panel = (typeof dashboard.panels)[number];
type Series = { metric: Record<string, string>; values: [number, string][] };

const wanted = new URLSearchParams(location.search);
const minutes = Number(wanted.get('minutes') ?? 5);
const step = 2; // seconds, as long as a scrape
const end = Math.floor(Date.now() / 1000 / step) * step;
const range: TimeRange = (() => {
  const [from, to] = [dateTime((end - 60 * minutes) * 1000), dateTime(end * 1000)];
  return { from, to, raw: { from, to } };
})();

const theme = createTheme({ colors: { mode: 'dark' } });
const [width, cell, margin] = [1488, 30, 8];

// What Grafana's time series panel registers, as far as the dashboard sets it.
const registry = new FieldConfigOptionsRegistry(() =>
  [
    ['unit', false], ['color', false], ['min', false], ['max', false], ['displayName', false],
    ['axisPlacement', true], ['axisLabel', true], ['fillOpacity', true],
  ].map(([name, custom]) => ({
    id: custom ? `custom.${name}` : `${name}`, path: `${name}`, name: `${name}`, isCustom: Boolean(custom),
    editor: () => null, override: () => null, process: identityOverrideProcessor, shouldApply: () => true,
  })) as never,
);

const graph = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', spanNulls: false,
  showPoints: 'auto', pointSize: 5, barAlignment: 0, axisPlacement: 'auto', axisLabel: '', axisColorMode: 'text',
  axisBorderShow: false, axisCenteredZero: false, axisGridShow: true, scaleDistribution: { type: 'linear' },
  hideFrom: { tooltip: false, viz: false, legend: false }, stacking: { group: 'A', mode: 'none' },
  thresholdsStyle: { mode: 'off' },
};

async function ask(expr: string): Promise<Series[]> {
  const query = expr.replaceAll('$pipeline', '.*').replaceAll('$table', '.*').replaceAll('$__rate_interval', '8s');
  const [start, last] = [range.from.valueOf() / 1000, range.to.valueOf() / 1000];
  const asked = new URLSearchParams({ query, start: `${start}`, end: `${last}`, step: `${step}` });
  const answer = await (await fetch(`${wanted.get('prometheus')}/api/v1/query_range?${asked}`)).json();
  if (answer.status !== 'success') {
    throw new Error(`${expr}: ${answer.error}`);
  }
  return answer.data.result;
}

// frameOf is a series at every step of the range, null where it has no value.
function frameOf(refId: string, legend: string, series: Series): DataFrame {
  const values = new Map(series.values.map(([at, value]) => [at, Number(value)]));
  const times = Array.from({ length: (60 * minutes) / step + 1 }, (_, i) => range.from.valueOf() + i * step * 1000);
  const name = legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => series.metric[label] ?? '');
  return toDataFrame({
    refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: times, config: { interval: step * 1000 } },
      {
        name: 'Value', type: FieldType.number, labels: series.metric, config: { displayNameFromDS: name },
        values: times.map((at) => {
          const value = values.get(at / 1000);
          return value === undefined || Number.isNaN(value) ? null : value;
        }),
      },
    ],
  });
}

async function framesOf(panel: Panel): Promise<DataFrame[]> {
  if (!panel.fieldConfig) {
    return []; // a row
  }
  const found = await Promise.all(
    (panel.targets ?? []).map(async (t) => (await ask(t.expr)).map((s) => frameOf(t.refId, t.legendFormat, s))),
  );
  const config = panel.fieldConfig;
  return applyFieldOverrides({
    data: found.flat(), theme, timeZone: 'utc', replaceVariables: (text: string) => text, fieldConfigRegistry: registry,
    fieldConfig: {
      defaults: { color: { mode: 'palette-classic' }, ...config.defaults, custom: graph }, overrides: config.overrides,
    } as never,
  });
}

function place({ x, y, w, h }: Panel['gridPos']): React.CSSProperties {
  const column = (width - 23 * margin) / 24;
  return {
    position: 'absolute', left: x * (column + margin), top: y * (cell + margin), width: w * (column + margin) - margin,
    height: h * (cell + margin) - margin,
  };
}

function Drawn({ panel, frames }: { panel: Panel; frames: DataFrame[] }) {
  const style = place(panel.gridPos);
  if (panel.type === 'row') {
    return <div style={{ ...style, font: '500 16px Inter', lineHeight: '30px' }}>{panel.title}</div>;
  }
  return (
    <div style={style}>
      <PanelChrome title={panel.title} width={Number(style.width)} height={Number(style.height)}>
        {(w, h) =>
          frames.length === 0 ? (
            <div style={{ font: '14px Inter', textAlign: 'center', lineHeight: `${h}px` }}>No data</div>
          ) : (
            <TimeSeries
              frames={frames} timeRange={range} timeZone="utc" width={w} height={h} legend={panel.options!.legend as never}
              structureRev={1}
            />
          )
        }
      </PanelChrome>
    </div>
  );
}

async function draw() {
  const all = await Promise.all(dashboard.panels.map(async (panel) => ({ panel, frames: await framesOf(panel) })));
  const rows = Math.max(...dashboard.panels.map((p) => p.gridPos.y + p.gridPos.h));
  const variables = dashboard.templating.list.map((v) => `${v.label}: ${v.type === 'query' ? 'All' : 'Prometheus'}`);
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <style>{plotStyle}</style>
      <div style={{ padding: 12, height: rows * (cell + margin) + 64, background: theme.colors.background.canvas }}>
        <div style={{ font: '500 18px Inter', height: 40 }}>
          {dashboard.title}
          <span style={{ font: '13px Inter', marginLeft: 24, opacity: 0.7 }}>{variables.join('    ')}</span>
        </div>
        <div style={{ position: 'relative' }}>
          {all.map(({ panel, frames }) => <Drawn key={panel.id} panel={panel} frames={frames} />)}
        </div>
      </div>
    </ThemeContext.Provider>,
  );
}

draw().catch((e: Error) => {
  document.body.textContent = `${e.stack}`;
});
