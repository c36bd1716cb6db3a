/**
 * Takes out of a root what must not be in an image, and what differs from build to build.
 *
 * 1. Identity: machine-id (left empty: the first boot fills it), SSH host keys, random seeds.
 * 2. Left-overs: package lists and caches, logs, backups of account files, compiled Python.
 * 3. Contents of /run, /tmp, /dev.
 * 4. Times after SOURCE_DATE_EPOCH become that time.
 *
 * Not promised: that scripts of a recipe put the same bytes into two builds.
 */
import { inPhase } from '../../events.ts'
import { existsInside, insideRoot } from '../../system/inside-root.ts'
import { type BuildContext, runAsOwner } from './context.ts'
import { addToRoot, rootFile } from './overlay.ts'

/** Files, by `find` expressions below a folder of the root. */
const LEFTOVERS: readonly (readonly [folder: string, ...tests: string[]])[] = [
  ['etc/ssh', '-name', 'ssh_host_*'],
  ['etc', '-maxdepth', '1', '-regex', '.*/\\(passwd\\|shadow\\|group\\|gshadow\\|sub[ug]id\\)-'],
  ['etc', '-maxdepth', '1', '-name', '.pwd.lock'],
  ['var/lib/apt/lists', '-mindepth', '1'],
  ['var/lib/dpkg', '-maxdepth', '1', '-name', '*-old'],
  ['var/lib/systemd', '-name', 'random-seed', '-o', '-name', 'credential.secret'],
  ['var/lib/dbus', '-name', 'machine-id', '-type', 'f'],
  ['var/cache/apt', '-type', 'f'],
  ['var/cache/debconf', '-name', '*-old'],
  ['var/cache/ldconfig', '-type', 'f'],
  ['var/log', '-type', 'f'],
  ['usr', '-path', '*/__pycache__/*', '-o', '-name', '__pycache__'],
  ['run', '-mindepth', '1'],
  ['tmp', '-mindepth', '1'],
  ['var/tmp', '-mindepth', '1'],
  ['dev', '-mindepth', '1'],
]

export async function tidyRoot(root: string, context: BuildContext): Promise<void> {
  await inPhase(context.emit, 'tidying the root', async () => {
    if (await existsInside(root, '/etc/machine-id')) {
      await addToRoot(root, [rootFile('/etc/machine-id', '', 0o444)], context)
    }
    for (const [folder, ...tests] of LEFTOVERS) {
      if (!(await existsInside(root, folder))) continue
      // `find` itself would follow an absolute link on the way out of the root.
      const at = await insideRoot(root, folder)
      await runAsOwner(context, ['find', at, '-depth', '-xdev', '(', ...tests, ')', '-delete'])
    }
    const epoch = `@${context.sourceDateEpoch}`
    const touch = ['-exec', 'touch', '-h', '-d', epoch, '{}', '+']
    await runAsOwner(context, ['find', root, '-xdev', '-newermt', epoch, ...touch])
  })
}
