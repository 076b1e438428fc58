// SPDX-License-Identifier: Apache-2.0

// The type of docs/grafana/forebay.json: Grafana's published schema, narrowed to time series panels over Prometheus. A
// key that Grafana does not know and one that it wants are errors of the compiler.

import type { Dashboard, GraphFieldConfig, Panel, RowPanel } from 'schema';
import type { Options } from 'schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// Text takes an enum's words as well as its members.
type Text<T> = T extends string
  ? `${T}`
  : T extends (infer E)[] ? Text<E>[] : T extends object ? { [K in keyof T]: Text<T[K]> } : T;

type Source = { type: string; uid: string };
type Field = NonNullable<Panel['fieldConfig']>;
type TimeSeries = Omit<Panel, 'options' | 'fieldConfig' | 'targets' | 'type'> & {
  type: 'timeseries';
  targets: { refId: string; expr: string; legendFormat: string; datasource: Source }[];
  options: Options;
  fieldConfig: Omit<Field, 'defaults'> & { defaults: Omit<Field['defaults'], 'custom'> & { custom?: GraphFieldConfig } };
};
type Row = Omit<RowPanel, 'type'> & { type: 'row' };

// Grafana writes definition into variables, though its schema has none.
type Variable = NonNullable<NonNullable<Dashboard['templating']>['list']>[number] & { definition?: string };

export type Checked = Text<
  Omit<Dashboard, 'panels' | 'templating'> & { panels: (TimeSeries | Row)[]; templating: { list: Variable[] } }
>;
