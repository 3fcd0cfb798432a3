// ECharts with only what the portal draws. Loaded when the first chart is shown.
import { CustomChart, LineChart, ScatterChart } from 'echarts/charts';
import { BrushComponent, DataZoomComponent, GridComponent, LegendScrollComponent, MarkAreaComponent, MarkLineComponent, ToolboxComponent, TooltipComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';

use([BrushComponent, CanvasRenderer, CustomChart, DataZoomComponent, GridComponent, LegendScrollComponent, LineChart, MarkAreaComponent, MarkLineComponent, ScatterChart, ToolboxComponent, TooltipComponent]);

export { init };
export type { ECharts, EChartsCoreOption } from 'echarts/core';
