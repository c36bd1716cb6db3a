/**
 * The machine, as far as it explains the figures: never its name or its addresses.
 */
import { cpus, release, totalmem } from 'node:os'
import { run } from '../src/system/run.ts'
import { GIB } from '../src/units.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGib: number
  readonly kernel: string
}

/** This machine. */
export function describeMachine(): Machine {
  const processors = cpus()
  const cpu = processors[0]?.model.replaceAll(/\s+/g, ' ').trim() ?? 'unknown processor'
  return {
    cpu,
    cores: processors.length,
    memoryGib: Math.round(totalmem() / GIB),
    // Builds of one's own carry names; the version is what matters.
    kernel: release().replace(/^(\d+(\.\d+)*).*$/, '$1'),
  }
}

/** The machine in one line. */
export const machineText = ({ cpu, cores, memoryGib, kernel }: Machine): string =>
  `${cpu}, ${cores} cores, ${memoryGib} GiB of memory, Linux ${kernel}`

/** The machine as part of a file name. */
export function machineSlug({ cpu, cores, memoryGib }: Machine): string {
  const words = cpu.toLowerCase().replaceAll(/\((r|tm)\)/g, '')
  const name = words.replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-|-$/g, '')
  return `${name}-${cores}c-${memoryGib}g`
}

/** Which of these programs are on the PATH. */
export async function findPrograms(names: readonly string[]): Promise<ReadonlySet<string>> {
  const search = 'for name; do command -v "$name" > /dev/null && echo "$name"; done; true'
  const { stdout } = await run(['bash', '-c', search, 'bash', ...new Set(names)])
  return new Set(stdout.split('\n').filter((line) => line !== ''))
}

/** What each program says of its version: the first line. */
export async function versionsOf(names: Iterable<string>): Promise<Record<string, string>> {
  const versions: Record<string, string> = {}
  for (const name of [...new Set(names)].sort()) {
    const flag = { openssl: 'version', unsquashfs: '-version', mksquashfs: '-version' }[name]
    const all = Array.from({ length: 256 }, (_, status) => status)
    const { stdout } = await run([name, flag ?? '--version'], { statuses: all })
    versions[name] = stdout.split('\n')[0]?.trim() ?? ''
  }
  return versions
}
