/**
 * A tree on the disk as plain data, so that two trees can be compared by `toEqual`: type, mode,
 * owner, time, content, link target, device, which names are one file, extended attributes.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  type BigIntStats,
  lstatSync,
  lutimesSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from 'node:fs'

/** One line an entry; keys are paths in latin1, so that names need not be UTF-8. */
export type Described = Readonly<Record<string, string>>

export function describeTree(root: string): Described {
  const found: Record<string, string> = {}
  const firstNames = new Map<bigint, string>()
  const visit = (path: Buffer, key: string): void => {
    const stats = lstatSync(path, { bigint: true })
    const first = firstNames.get(stats.ino) ?? key
    firstNames.set(stats.ino, first)
    found[key] = [common(stats), specific(path, stats), `same as ${first}`].join(' ')
    if (!stats.isDirectory()) return
    for (const name of readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare)) {
      const child = Buffer.concat([path, Buffer.from('/'), name])
      visit(child, `${key}/${name.toString('latin1')}`)
    }
  }
  visit(Buffer.from(root), '.')
  return found
}

/**
 * Gives every entry that was made just now a time of its own, in quarters of a second: such a
 * time is a double without loss, so that it can be compared to the nanosecond.
 */
export function settleTimes(root: string): void {
  let seconds = 1_600_000_000
  const visit = (path: Buffer): void => {
    const stats = lstatSync(path)
    for (const name of stats.isDirectory() ? readdirSync(path, { encoding: 'buffer' }) : []) {
      visit(Buffer.concat([path, Buffer.from('/'), name]))
    }
    seconds += 1.25
    if (stats.mtimeMs > 1_600_000_000_000) lutimesSync(path, seconds, seconds)
  }
  visit(Buffer.from(root))
}

/** What `getfattr` says of all attributes, in the order of paths. */
export function describeXattrs(root: string): string {
  const args = ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '.']
  const dump = execFileSync('getfattr', args, { cwd: root, encoding: 'latin1', maxBuffer: 2 ** 30 })
  const files = dump.split('\n\n').map((file) => file.trim().split('\n').sort().join('\n'))
  return files.sort().join('\n')
}

function common(stats: BigIntStats): string {
  return `mode ${stats.mode.toString(8)} owner ${stats.uid}:${stats.gid} mtime ${stats.mtimeNs}`
}

function specific(path: Buffer, stats: BigIntStats): string {
  if (stats.isFile()) {
    const digest = createHash('sha256').update(readFileSync(path)).digest('hex')
    return `file of ${stats.size} bytes ${digest} with ${stats.nlink} names`
  }
  if (stats.isSymbolicLink()) {
    return `link to ${readlinkSync(path, { encoding: 'buffer' }).toString('latin1')}`
  }
  if (stats.isDirectory()) return 'directory'
  return `special ${stats.rdev}`
}
