/** A report of `bench` with round numbers, for what is printed and drawn of it. */
import { GIB, MIB } from '../../src/units.ts'
import type { BenchReport } from '../../src/unpack/bench/bench.ts'
import { judge, type Measured } from '../../src/unpack/bench/model.ts'

/** Four threads, decompress is the limit. */
const MEASURED: Measured = {
  read: 4 * GIB,
  threads: 2 * GIB,
  threadSeconds: { digest: 1, open: 2, decompress: 7 },
  write: 2.5 * GIB,
  together: 1.8 * GIB,
  ratio: 3,
}

export function benchReport(change: Partial<Measured> = {}): BenchReport {
  const measured = { ...MEASURED, ...change }
  const stage = (bytesPerSecondPerThread: number) => ({
    bytesPerSecond: 4 * bytesPerSecondPerThread,
    bytesPerSecondPerThread,
  })
  const { read, threads, write, together, ratio } = measured
  return {
    image: 'images/debian & more.osimg',
    dataBytes: 3 * GIB,
    packedBytes: GIB,
    frames: 768,
    threads: 4,
    processors: 6,
    ...(write === undefined
      ? {}
      : { target: { path: '/dev/sd<x>', kind: 'device', direct: true } }),
    stages: {
      read: { bytesPerSecond: read, packedBytesPerSecond: read / ratio },
      digest: stage(8 * GIB),
      open: stage(4 * GIB),
      decompress: stage(700 * MIB),
      ...(write === undefined ? {} : { write: { bytesPerSecond: write } }),
    },
    allThreads: { bytesPerSecond: threads },
    together: { bytesPerSecond: together },
    verdict: judge(measured),
  }
}

/** The same without a target. */
export function unwrittenReport(): BenchReport {
  const { write: _, ...stages } = benchReport().stages
  const { target: __, ...report } = benchReport()
  const { write: ___, ...measured } = MEASURED
  return { ...report, stages, verdict: judge(measured) }
}
