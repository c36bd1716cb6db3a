/**
 * What `osflash unpack` does.
 *
 * 1. A new file gets its name when it is complete; until then it is `TARGET.partial`.
 * 2. The checkpoint lies beside a file, and in /var/lib/osflash for a device.
 * 3. `--dry-run` prints the plan and touches nothing.
 */

import { stat } from 'node:fs/promises'
import { openSource } from '../../deliver/open.ts'
import { OsflashError } from '../../errors.ts'
import { exists } from '../../system/exists.ts'
import { formatBytes, formatDuration } from '../../units.ts'
import type { DecodeThreads } from '../../unpack/decode-threads.ts'
import { planUnpack, unpackDisk } from '../../unpack/unpack-disk.ts'
import { unpackTree } from '../../unpack/unpack-tree.ts'
import { checkpointPath } from '../checkpoint-path.ts'
import { counted } from '../count.ts'
import { refuseImageItself } from '../image-itself.ts'
import { identitiesOf, trustOf } from '../key-files.ts'
import { planFacts, renderPlan } from '../plan-text.ts'
import { collectStats, type RunStats } from '../run-stats.ts'
import type { ReadingOptions } from '../shared-options.ts'
import { renderStats } from '../stats-text.ts'
import type { VerbContext } from '../verb.ts'

export interface UnpackVerbOptions extends ReadingOptions {
  readonly to: string
  readonly size?: number
  readonly force?: boolean
  readonly resume?: boolean
  readonly verify?: boolean
  readonly dryRun?: boolean
  readonly checkpoint?: string
  readonly stats?: boolean
  /** Started while this module was loaded. */
  readonly threads?: DecodeThreads
}

/** @throws OsflashError whatever a stage refuses; with a checkpoint left, how to go on */
export async function unpack(
  path: string,
  options: UnpackVerbOptions,
  context: VerbContext,
): Promise<void> {
  const check = await trustOf(options)
  await refuseImageItself(path, options.to, 'unpacking to')
  await using source = await openSource(path, { signal: context.signal })
  const fileBytes = options.size === undefined ? {} : { fileBytes: options.size }
  if (options.dryRun) {
    const overwrite = options.force ?? false
    const resume = options.resume ?? false
    const plan = await planUnpack({
      source,
      check,
      to: options.to,
      overwrite,
      resume,
      ...fileBytes,
    })
    context.stdout.write(context.json ? `${JSON.stringify(planFacts(plan))}\n` : renderPlan(plan))
    return
  }
  const identities = await identitiesOf(options, context.signal)
  const stats = options.stats ? collectStats(context.emit) : undefined
  const { signal } = context
  const emit = stats?.emit ?? context.emit
  const threads = options.threads === undefined ? {} : { threads: options.threads }
  const common = { source, check, identities, emit, signal, ...threads }
  const startMs = performance.now()
  if (await isDirectory(options.to)) {
    const { stages, ...report } = await unpackTree({ ...common, directory: options.to })
    tell(context, { to: options.to, startMs, stats: stats?.finish(stages, report.bytes) }, report)
    return
  }
  const checkpoint = options.checkpoint ?? (await checkpointPath(options.to))
  const {
    plan: _,
    stages,
    ...report
  } = await unpackDisk({
    ...common,
    ...fileBytes,
    to: options.to,
    overwrite: options.force ?? false,
    resume: options.resume ?? false,
    verify: options.verify ?? false,
    checkpointPath: checkpoint,
  }).catch(async (error: unknown) => {
    throw (await exists(checkpoint)) ? resumable(error) : error
  })
  const written = { to: options.to, startMs, stats: stats?.finish(stages, report.bytes) }
  tell(context, written, { ...report, verified: options.verify ?? false })
}

/** An interrupted run that left a checkpoint: says how it goes on. */
function resumable(error: unknown): unknown {
  if (!(error instanceof OsflashError) || error.code === 'refused') return error
  const { code, message, data, cause } = error
  const hints = [...error.hints, 'the same command with --resume goes on from the checkpoint']
  return new OsflashError(code, message, { data, cause, hints })
}

interface Written {
  readonly to: string
  readonly startMs: number
  readonly stats: RunStats | undefined
}

function tell(
  context: VerbContext,
  { to, startMs, stats }: Written,
  report: { readonly bytes: number; readonly frames: number; readonly verified?: boolean },
): void {
  const seconds = (performance.now() - startMs) / 1000
  const rate = formatBytes(Math.round(report.bytes / seconds))
  const verified = report.verified ? ', read back and equal' : ''
  const amount = `${formatBytes(report.bytes)} in ${counted(report.frames, 'frame')}`
  const text = `${to}: ${amount}, ${formatDuration(seconds)} (${rate}/s)${verified}\n`
  const split = stats === undefined ? '' : `\n${renderStats(stats, report.bytes)}`
  const result = { to, seconds, ...report, ...(stats && { stats }) }
  context.stdout.write(context.json ? `${JSON.stringify(result)}\n` : `${text}${split}`)
}

/** An existing directory, or a name that ends like one. */
async function isDirectory(path: string): Promise<boolean> {
  if (path.endsWith('/')) return true
  return stat(path).then(
    (target) => target.isDirectory(),
    () => false,
  )
}
