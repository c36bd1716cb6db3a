/**
 * A Debian root file system as a tarball, by mmdebstrap.
 *
 * 1. As root in mode `root`, otherwise in mode `unshare`.
 * 2. Mirror, components and keyring are those of the recipe; without a mirror mmdebstrap chooses.
 * 3. SOURCE_DATE_EPOCH clamps the times; mmdebstrap sorts the members and empties its caches.
 *
 * Not promised: the same packages tomorrow. Who wants that names a snapshot as the mirror.
 */
import { OsflashError } from '../../errors.ts'
import type { Argv } from '../../system/run.ts'
import type { DebianSource, Recipe } from '../recipe/schema.ts'
import { type BuildContext, isRootless, runTool } from './context.ts'

const DEBIAN_ARCHITECTURE: Readonly<Record<Recipe['architecture'], string>> = { x86_64: 'amd64' }

export interface DebianTarget {
  readonly target: string
  readonly architecture: Recipe['architecture']
}

/** @throws OsflashError `process` with what mmdebstrap said, `missing-tool`, `cancelled` */
export async function makeDebianTar(
  source: DebianSource,
  context: BuildContext,
  { target, architecture }: DebianTarget,
): Promise<void> {
  const list = (name: string, items: readonly string[]): string[] =>
    items.length === 0 ? [] : [`--${name}=${items.join(',')}`]
  const argv: Argv = [
    'mmdebstrap',
    `--mode=${isRootless() ? 'unshare' : 'root'}`,
    '--format=tar',
    `--variant=${source.variant}`,
    `--architectures=${DEBIAN_ARCHITECTURE[architecture]}`,
    ...list('components', source.components),
    ...list('include', source.packages),
    ...(source.keyring === undefined ? [] : [`--keyring=${source.keyring}`]),
    `--customize-hook=${FORGET_BUILDER}`,
    '--',
    source.suite,
    target,
    ...(source.mirror === undefined ? [] : [source.mirror].flat()),
  ]
  const log = new ErrorLines()
  // In mode unshare the folder must be open to the subordinate ids; the scratch folder is not.
  const env = isRootless() ? {} : { TMPDIR: context.scratch }
  await runTool(context, argv, { env, onStderr: (text) => log.push(text) }).catch((cause) => {
    throw explained(cause, source, log.lines)
  })
}

/** mmdebstrap copies the name and the resolvers of the machine that builds. */
const FORGET_BUILDER =
  'rm -f "$1/etc/hostname"; [ -L "$1/etc/resolv.conf" ] || rm -f "$1/etc/resolv.conf"'

/** mmdebstrap tells the reason long before its last line. */
class ErrorLines {
  readonly lines: string[] = []
  #rest = ''

  push(text: string): void {
    const pieces = `${this.#rest}${text}`.split('\n')
    this.#rest = pieces.pop() ?? ''
    for (const piece of pieces) {
      if (/^(E|W|Err|dpkg|N): ?|^Err:|NO_PUBKEY|error/i.test(piece)) this.lines.push(piece.trim())
      if (this.lines.length > 40) this.lines.shift()
    }
  }
}

function explained(cause: unknown, source: DebianSource, lines: readonly string[]): unknown {
  if (!(cause instanceof OsflashError) || cause.code !== 'process') return cause
  const all = lines.join('\n')
  const why =
    lines.find((line) => /^E: (?!mmdebstrap|apt-get .* failed|setup failed)/.test(line)) ??
    lines.at(-1) ??
    cause.message
  return new OsflashError('process', `installing ${source.suite}: ${why.replace(/^E: /, '')}`, {
    cause,
    data: { ...cause.data, suite: source.suite },
    hints: hintsFor(all, source),
  })
}

function hintsFor(log: string, { suite }: DebianSource): readonly string[] {
  if (/NO_PUBKEY|not signed|public key is not available|Missing key/i.test(log)) {
    return [
      `${suite} is signed by a key that this machine does not have; a newer keyring helps:`,
      'apt-get install debian-archive-keyring',
      '--set source.debian.keyring=/path/to/keyring.gpg',
    ]
  }
  if (/Could not resolve|Temporary failure|Unable to connect|Failed to fetch/i.test(log)) {
    return ['--set source.debian.mirror=ADDRESS names another mirror']
  }
  if (/Unable to locate package|has no installation candidate/i.test(log)) {
    return ['check source.debian.packages and source.debian.components']
  }
  if (/did not find any indices|does not have a Release file/i.test(log)) {
    return ['check source.debian.suite, source.debian.components and the mirror']
  }
  return []
}
