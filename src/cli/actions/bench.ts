/**
 * What `osflash bench` does.
 *
 * 1. Measures; says first what is overwritten.
 * 2. Prints the table and the verdict, or the report as JSON.
 * 3. Draws the chart, if asked for.
 */
import { writeFile } from 'node:fs/promises'
import { openSource } from '../../deliver/open.ts'
import { ioError } from '../../errors.ts'
import { benchImage } from '../../unpack/bench/bench.ts'
import { renderBenchChart } from '../bench-chart.ts'
import { renderBench } from '../bench-text.ts'
import { checkpointPath } from '../checkpoint-path.ts'
import { refuseImageItself } from '../image-itself.ts'
import { identitiesOf, trustOf } from '../key-files.ts'
import type { ReadingOptions } from '../shared-options.ts'
import type { VerbContext } from '../verb.ts'

export interface BenchVerbOptions extends ReadingOptions {
  readonly to?: string
  readonly force?: boolean
  readonly seconds: number
  readonly chart?: string
}

/** @throws OsflashError what opening the image and writing to the target give; `refused` */
export async function bench(
  path: string,
  options: BenchVerbOptions,
  context: VerbContext,
): Promise<void> {
  const { to, chart, workers, seconds } = options
  const { emit, signal } = context
  const check = await trustOf(options)
  if (to !== undefined) await refuseImageItself(path, to, 'measuring')
  const identities = await identitiesOf(options, signal)
  await using source = await openSource(path, { signal })
  const report = await benchImage({
    source,
    check,
    identities,
    overwrite: options.force ?? false,
    seconds,
    emit,
    signal,
    ...(to === undefined ? {} : { to, checkpointPath: await checkpointPath(to) }),
    ...(workers === undefined ? {} : { workers }),
  })
  if (chart !== undefined) {
    await writeFile(chart, renderBenchChart(report)).catch((cause: unknown) => {
      throw ioError(`writing ${chart}`, cause)
    })
  }
  context.stdout.write(context.json ? `${JSON.stringify(report)}\n` : renderBench(report))
}
