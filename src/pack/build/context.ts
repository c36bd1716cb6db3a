/**
 * What every step of a build gets, and how it starts tools.
 *
 * 1. Tools see a fixed search path, UTC and SOURCE_DATE_EPOCH, so the caller's settings do not
 *    reach the image.
 * 2. What handles files of other owners runs as root, or, for an ordinary user, as the root of a
 *    user namespace that has the user's subordinate ids; the same ids every time, so one step
 *    can go on where another one ended.
 *
 * Not promised: user namespaces. Where they are forbidden, `unshare` says so and a hint follows.
 */
import { OsflashError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { type Argv, type RunOptions, type RunResult, run } from '../../system/run.ts'
import { packageHint } from '../../system/tool-packages.ts'

export interface BuildContext {
  /** An existing folder, on a file system with room for the root several times. */
  readonly scratch: string
  readonly emit: Emit
  readonly signal?: AbortSignal | undefined
  /** Seconds since 1970: the newest time that the image holds. */
  readonly sourceDateEpoch: number
}

const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Runs a tool that touches only files of this user. */
export function runTool(
  context: BuildContext,
  argv: Argv,
  options: RunOptions = {},
): Promise<RunResult> {
  const epoch = String(context.sourceDateEpoch)
  const result = run(argv, {
    signal: context.signal,
    ...options,
    env: {
      PATH: SEARCH_PATH,
      TZ: 'UTC',
      SOURCE_DATE_EPOCH: epoch,
      // Older e2fsprogs know only this one.
      E2FSPROGS_FAKE_TIME: epoch,
      ...options.env,
    },
  })
  return result.catch((error: unknown) => {
    throw withHints(error)
  })
}

/** What a tool's last words mean to the one who started the build. */
const HINTS: readonly (readonly [words: RegExp, hint: string])[] = [
  [/No space left on device/, 'free space, or set TMPDIR to a folder with more'],
  [
    /Could not allocate block|ran out of space|Disk full/i,
    'make the partition larger, or size: fit',
  ],
]

function withHints(error: unknown): unknown {
  if (!(error instanceof OsflashError) || error.code !== 'process') return error
  const stderr = String(error.data.stderr ?? '')
  const hints = HINTS.filter(([words]) => words.test(stderr)).map(([, hint]) => hint)
  if (hints.length === 0) return error
  const { code, message, data, cause } = error
  return new OsflashError(code, message, { data, cause, hints })
}

/** True for a build that is not run by root. */
export const isRootless = (): boolean => process.getuid?.() !== 0

/** Runs a tool that reads or writes files of any owner. */
export async function runAsOwner(
  context: BuildContext,
  argv: Argv,
  options: RunOptions = {},
): Promise<RunResult> {
  if (!isRootless()) return runTool(context, argv, options)
  const inside = ['unshare', ...USER_NAMESPACE, '--', ...argv] as const
  return runTool(context, inside, options).catch((error: unknown) => {
    throw namedAfter(argv[0], error)
  })
}

const USER_NAMESPACE = ['--map-root-user', '--map-auto'] as const

/**
 * Runs a program of a root file system in it, with /proc, /sys, an own /dev, /run and /tmp; the
 * mounts live in a namespace that ends with the program.
 */
export async function runInRoot(
  context: BuildContext,
  root: string,
  call: { readonly argv: Argv; readonly options?: RunOptions },
): Promise<RunResult> {
  const user = isRootless() ? USER_NAMESPACE : []
  const spaces = ['--mount', '--pid', '--fork', '--kill-child'] as const
  const script = ['sh', '-eu', '-c', ENTER_ROOT, 'enter-root', root] as const
  const argv: Argv = ['unshare', ...user, ...spaces, '--', ...script, ...call.argv]
  return runTool(context, argv, {
    ...call.options,
    env: { HOME: '/root', DEBIAN_FRONTEND: 'noninteractive', ...call.options?.env },
  }).catch((error: unknown) => {
    throw namedAfter(call.argv[0], error)
  })
}

const ENTER_ROOT = `root=$1
shift
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom; do
  : > "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
exec chroot "$root" "$@"
`

/** The error of what was to run, not of the `unshare` around it. */
function namedAfter(program: string, error: unknown): unknown {
  if (!(error instanceof OsflashError) || error.code !== 'process') return error
  const stderr = String(error.data.stderr ?? '').trim()
  const why = stderr.split('\n').at(-1) ?? ''
  if (/failed to (execute|run command)/.test(why)) {
    return new OsflashError('missing-tool', `running ${program}: ${why}`, {
      cause: error,
      data: { program },
      hints: why.startsWith('unshare: ') ? packageHint(program) : [],
    })
  }
  if (/^unshare: |newuidmap|newgidmap/m.test(stderr)) return noNamespace(stderr, error)
  const message = error.message.replace('running unshare:', `running ${program}:`)
  return new OsflashError('process', message, {
    cause: error,
    data: { ...error.data, program },
    hints: error.hints,
  })
}

function noNamespace(stderr: string, cause: unknown): OsflashError {
  const kind = isRootless() ? 'user' : 'mount'
  return new OsflashError('refused', `entering a ${kind} namespace: ${stderr}`, {
    cause,
    hints: isRootless() ? ROOTLESS_HINTS : ROOT_HINTS,
  })
}

const ROOTLESS_HINTS = [
  'run as root',
  'or give this user subordinate ids, in /etc/subuid and /etc/subgid',
  'apt-get install uidmap',
]
const ROOT_HINTS = [
  'a container must be allowed to mount (CAP_SYS_ADMIN)',
  'a chroot must stand on a mount point: mount --bind ROOT ROOT before chroot ROOT',
]
