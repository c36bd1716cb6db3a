/**
 * Whether this host has the programs that staging and arming will start.
 *
 * 1. Each is started once, for its version: found as it will be found later.
 * 2. All that are missing are named in one line, so that they are installed at once.
 *
 * Programs that preflight itself needs (lsblk, blkid, ip, sshd) are missed by itself. Not
 * promised: that a program which is there knows every option.
 */
import { OsflashError } from '../../errors.ts'
import { type Argv, run } from '../../system/run.ts'
import { packageHint } from '../../system/tool-packages.ts'

/** What stage/, store.ts, mounted-root.ts and the reboot start, each asking for its version. */
const STAGING_TOOLS: readonly Argv[] = [
  ['blockdev', '--version'],
  ['dd', '--version'],
  ['fallocate', '--version'],
  ['findmnt', '--version'],
  ['mkfs.ext4', '-V'],
  ['mount', '--version'],
  ['partx', '--version'],
  ['systemctl', '--version'],
  ['udevadm', '--version'],
  ['umount', '--version'],
]

/**
 * @param tools other than the default only in tests
 * @throws OsflashError `refused` naming what is not installed
 */
export async function checkTools(
  tools: readonly Argv[] = STAGING_TOOLS,
  signal?: AbortSignal,
): Promise<void> {
  const there = await Promise.all(tools.map((argv) => isInstalled(argv, signal)))
  const missing = tools.flatMap(([name], index) => (there[index] ? [] : [name]))
  if (missing.length === 0) return
  throw new OsflashError(
    'refused',
    `checking this host: it has no ${missing.join(', no ')}, needed for staging`,
    { hints: [...new Set(missing.flatMap(packageHint))] },
  )
}

async function isInstalled(argv: Argv, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await run(argv, { signal, stdout: 'ignore' })
  } catch (error) {
    if (!(error instanceof OsflashError)) throw error
    if (error.code === 'missing-tool') return false
    // A status of its own: busybox knows no versions.
    if (error.code !== 'process') throw error
  }
  return true
}
