/**
 * Runs one referee over one segment, with the very command that docs/format.md gives:
 * `cat keys.pgp SEGMENT | sq decrypt | zstd -d`.
 */
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { Writable } from 'node:stream'
import { run } from '../../src/system/run.ts'
import type { RefereeRoot } from './referee-root.ts'

export const REFEREES = ['sq', 'rsop', 'gosop'] as const
export type RefereeName = (typeof REFEREES)[number]

const DECRYPT: Readonly<Record<RefereeName, string>> = {
  sq: 'sq decrypt --recipient-file "$3"',
  rsop: 'rsop decrypt "$3"',
  gosop: 'gosop decrypt "$3"',
}
const VERIFY: Readonly<Record<RefereeName, string>> = {
  sq: 'sq verify --signature-file="$2" --signer-file="$3" "$1"',
  rsop: 'rsop verify "$2" "$3" < "$1"',
  gosop: 'gosop verify "$2" "$3" < "$1"',
}
const DECOMPRESS = { zstd: ' | zstd -dc', xz: ' | xz -dc', none: '' } as const

/** Files of one case, all in one folder `/tmp/NAME` of the root. */
export interface RefereeJob {
  /** Absolute path outside the root: ROOT/tmp/NAME. */
  readonly folder: string
  /** Names below the folder. */
  readonly keys: string
  readonly segment: string
  readonly recipientKey: string
  readonly codec: keyof typeof DECOMPRESS
}

/**
 * Decrypts and decompresses; the raw bytes go to `sink`.
 * @throws OsflashError `process` when the referee refuses
 */
export async function runReferee(
  name: RefereeName,
  root: RefereeRoot,
  request: { readonly job: RefereeJob; readonly sink: Writable },
): Promise<void> {
  const { job, sink } = request
  const script = `cat "$1" "$2" | ${DECRYPT[name]}${DECOMPRESS[job.codec]}`
  await inRoot(root, job.folder, {
    script,
    names: [job.keys, job.segment, job.recipientKey],
    sink,
  })
}

/**
 * Verifies a detached signature: data, signatures, certificate below `folder`.
 * @throws OsflashError `process` when the referee refuses
 */
export async function refereeVerifies(
  name: RefereeName,
  root: RefereeRoot,
  job: { readonly folder: string; readonly names: readonly [string, string, string] },
): Promise<void> {
  await inRoot(root, job.folder, {
    script: VERIFY[name],
    names: job.names,
    sink: new ByteCounter(),
  })
}

/** A shell line and its `$1`, `$2` … */
interface RootCommand {
  readonly script: string
  readonly names: readonly string[]
  readonly sink: Writable
}

/**
 * Runs a shell line in a folder ROOT/tmp/NAME of the root.
 * @throws OsflashError `process`
 */
export async function inRoot(
  root: RefereeRoot,
  folder: string,
  command: RootCommand,
): Promise<void> {
  const inside = `/tmp/${basename(folder)}`
  const script = `cd "$0" && ${command.script}`
  await run(
    ['chroot', root.path, 'bash', '-o', 'pipefail', '-c', script, inside, ...command.names],
    {
      stdout: command.sink,
      env: { HOME: inside, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    },
  )
}

/** Counts and digests what a referee writes. */
export class ByteCounter extends Writable {
  bytes = 0
  readonly #hash = createHash('sha256')

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error) => void): void {
    this.bytes += chunk.length
    this.#hash.update(chunk)
    done()
  }

  /** Once, after the end. */
  sha256(): string {
    return this.#hash.digest('hex')
  }
}
