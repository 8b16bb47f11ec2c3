// Computes indicators of the ticks on standard input with technicalindicators: one column for each, a value for each tick
// from the first that has one. The ticks are bars of which open, high, low and close are the same.
import { readFileSync } from "node:fs";
import { ATR, BollingerBands, EMA, Highest, Lowest, MACD, ROC, RSI, SD, SMA, VWAP } from "technicalindicators";

const { price, volume } = JSON.parse(readFileSync(0, "utf8"));
const bars = { high: price, low: price, close: price };
const columns = {};
for (const period of [1, 3, 20]) {
  columns[`SMA_${period}`] = SMA.calculate({ period, values: price });
  columns[`EMA_${period}`] = EMA.calculate({ period, values: price });
  columns[`HIGHEST_${period}`] = Highest.calculate({ period, values: price });
  columns[`LOWEST_${period}`] = Lowest.calculate({ period, values: price });
  columns[`PRICE_CHANGE_PCT_${period}`] = ROC.calculate({ period, values: price });
}
for (const period of [2, 14]) {
  columns[`RSI_${period}`] = RSI.calculate({ period, values: price });
  columns[`ATR_${period}`] = ATR.calculate({ period, ...bars });
}
for (const [fast, slow, signal] of [[12, 26, 9], [3, 7, 4]]) {
  const list = MACD.calculate({ values: price, fastPeriod: fast, slowPeriod: slow, signalPeriod: signal, SimpleMAOscillator: false, SimpleMASignal: false });
  const name = `MACD_${fast}_${slow}_${signal}`;
  columns[name] = list.map((x) => x.MACD);
  columns[`${name}.SIGNAL`] = list.map((x) => x.signal);
  columns[`${name}.HISTOGRAM`] = list.map((x) => x.histogram);
}
for (const [period, stdDev] of [[20, 2], [5, 1.5]]) {
  const list = BollingerBands.calculate({ period, stdDev, values: price });
  const name = `BOLLINGER_BANDS_${period}_${stdDev}`;
  columns[`${name}.UPPER`] = list.map((x) => x.upper);
  columns[`${name}.MIDDLE`] = list.map((x) => x.middle);
  columns[`${name}.LOWER`] = list.map((x) => x.lower);
  columns[`${name}.PERCENT_B`] = list.map((x) => x.pb);
}
const returns = price.slice(1).map((p, i) => Math.log(p / price[i]));
const sample = Math.sqrt(20 / 19); // SD divides by n, not by n - 1
columns.VOLATILITY_20 = SD.calculate({ period: 20, values: returns }).map((x) => 100 * sample * x);
columns.PUMP_MAGNITUDE_PCT_20 = columns.LOWEST_20.map((low, i) => (100 * (price[i + 19] - low)) / low);
columns.VWAP = VWAP.calculate({ ...bars, volume });
process.stdout.write(JSON.stringify(columns));
