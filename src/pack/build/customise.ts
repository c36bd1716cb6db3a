/**
 * Makes a root file system the one that the recipe asks for.
 *
 * 1. Archives, accounts, then files (whose owners may be those accounts), hostname and keys.
 * 2. Services, by `systemctl` of the new system.
 * 3. Scripts, in order, as root of the new system.
 *
 * Not promised: a network inside scripts beyond what the host gives; packages belong into
 * `source.debian.packages`.
 */
import { readFile } from 'node:fs/promises'
import { ioError, OsflashError } from '../../errors.ts'
import { inPhase } from '../../events.ts'
import { existsInside, readInside } from '../../system/inside-root.ts'
import type { Recipe, RecipeFile, RecipeUser } from '../recipe/schema.ts'
import {
  type Account,
  type AccountFiles,
  accountsOf,
  FIRST_UID,
  groupsOf,
  withStableDates,
  withUsers,
} from './accounts.ts'
import { addArchives } from './archives.ts'
import { type BuildContext, runInRoot } from './context.ts'
import { HOST_KEY_UNIT, HOST_KEY_UNIT_TEXT } from './host-keys.ts'
import { addToRoot, type OverlayEntry, rootFile } from './overlay.ts'

/** Changes the tree below `root`. @throws OsflashError `recipe`, `io`, `process` */
export async function customiseRoot(
  recipe: Recipe,
  root: string,
  context: BuildContext,
): Promise<void> {
  await inPhase(context.emit, 'customising the root', async () => {
    await addArchives(recipe.customise.archives, root, context)
    const accounts = await readAccounts(root)
    const changed = withUsers(accounts, usersOf(recipe))
    const hasSsh = await existsInside(root, '/usr/sbin/sshd')
    await addToRoot(
      root,
      [
        ...accountEntries(accounts, changed, context),
        ...(await hostnameEntries(recipe, root)),
        ...recipe.customise.files.map((file) => fileEntry(file, changed)),
        ...usersOf(recipe).flatMap((user) => keyEntries(user, changed)),
        ...(hasSsh ? [rootFile(`/etc/systemd/system/${HOST_KEY_UNIT}`, HOST_KEY_UNIT_TEXT)] : []),
      ],
      context,
    )
    await switchServices(recipe, hasSsh ? [HOST_KEY_UNIT] : [], { root, context })
    await runScripts(recipe, root, context)
  })
}

async function readAccounts(root: string): Promise<AccountFiles> {
  const text = async (name: string) => (await readInside(root, `/etc/${name}`))?.toString() ?? ''
  return {
    passwd: await text('passwd'),
    group: await text('group'),
    shadow: await text('shadow'),
    gshadow: await text('gshadow'),
  }
}

/** The recipe's users, with the keys of `access` given to root. */
function usersOf({ access, customise }: Recipe): readonly RecipeUser[] {
  const keys = access['root-authorized-keys']
  if (keys.length === 0) return customise.users
  const root = customise.users.find(({ name }) => name === 'root') ?? {
    name: 'root',
    'password-hash': '*',
    'authorized-keys': [],
    groups: [],
    shell: '/bin/bash',
  }
  const others = customise.users.filter(({ name }) => name !== 'root')
  return [{ ...root, 'authorized-keys': [...root['authorized-keys'], ...keys] }, ...others]
}

function accountEntries(
  before: AccountFiles,
  after: AccountFiles,
  context: BuildContext,
): readonly OverlayEntry[] {
  const gid = groupsOf(after.group).find(({ name }) => name === 'shadow')?.gid ?? 0
  const secret = { mode: 0o640, uid: 0, gid }
  const stable = { ...after, shadow: withStableDates(after.shadow, context.sourceDateEpoch) }
  const entries = {
    passwd: rootFile('/etc/passwd', stable.passwd),
    group: rootFile('/etc/group', stable.group),
    shadow: { ...rootFile('/etc/shadow', stable.shadow), ...secret },
    gshadow: { ...rootFile('/etc/gshadow', stable.gshadow), ...secret },
  }
  const names = ['passwd', 'group', 'shadow', 'gshadow'] as const
  return names.filter((name) => stable[name] !== before[name]).map((name) => entries[name])
}

async function hostnameEntries(
  { customise: { hostname } }: Recipe,
  root: string,
): Promise<readonly OverlayEntry[]> {
  if (hostname === undefined) return []
  const hosts = `127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 ${hostname}\n`
  const known = await readInside(root, '/etc/hosts')
  return [
    rootFile('/etc/hostname', `${hostname}\n`),
    ...(known === undefined ? [rootFile('/etc/hosts', hosts)] : []),
  ]
}

function fileEntry(file: RecipeFile, accounts: AccountFiles): OverlayEntry {
  const [user = 'root', group = user] = file.owner.split(':')
  return {
    path: file.path,
    mode: Number.parseInt(file.mode, 8),
    uid: idOf(user, accountsOf(accounts.passwd).find(({ name }) => name === user)?.uid, file),
    gid: idOf(group, groupsOf(accounts.group).find(({ name }) => name === group)?.gid, file),
    body:
      file.source === undefined
        ? { kind: 'text', text: file.content ?? '' }
        : { kind: 'copy', from: file.source },
  }
}

function idOf(name: string, known: number | undefined, { path }: RecipeFile): number {
  if (known !== undefined) return known
  // A root file system without accounts still has user and group 0.
  if (name === 'root') return 0
  if (/^[0-9]+$/.test(name)) return Number(name)
  throw new OsflashError('recipe', `adding ${path}: the new root has no ${name}`)
}

function keyEntries(user: RecipeUser, accounts: AccountFiles): readonly OverlayEntry[] {
  const account = accountsOf(accounts.passwd).find(({ name }) => name === user.name)
  if (account === undefined) {
    throw new OsflashError('recipe', `adding user ${user.name}: the new root has no /etc/passwd`)
  }
  const home = user.home ?? account.home
  const own = ownedBy(account)
  const keys = user['authorized-keys']
  // The home of a system account may be /usr/sbin, which must stay as it is.
  const isPerson = account.uid === 0 || account.uid >= FIRST_UID
  return [
    ...(isPerson ? [own(home, 0o700, { kind: 'folder' })] : []),
    ...(keys.length === 0
      ? []
      : [
          own(`${home}/.ssh`, 0o700, { kind: 'folder' }),
          own(`${home}/.ssh/authorized_keys`, 0o600, {
            kind: 'text',
            text: `${keys.join('\n')}\n`,
          }),
        ]),
  ]
}

const ownedBy =
  ({ uid, gid }: Account) =>
  (path: string, mode: number, body: OverlayEntry['body']): OverlayEntry => ({
    path,
    mode,
    uid,
    gid,
    body,
  })

interface Place {
  readonly root: string
  readonly context: BuildContext
}

async function switchServices(
  { customise: { services } }: Recipe,
  own: readonly string[],
  { root, context }: Place,
): Promise<void> {
  const change = async (verb: string, units: readonly string[]) => {
    if (units.length === 0) return
    await runInRoot(context, root, { argv: ['systemctl', '--quiet', verb, '--', ...units] })
  }
  await change('enable', [...own, ...services.enable])
  await change('disable', services.disable)
}

async function runScripts(recipe: Recipe, root: string, context: BuildContext): Promise<void> {
  for (const [position, script] of recipe.customise.scripts.entries()) {
    const text = script.content ?? (await readScript(script.source ?? ''))
    const path = `/osflash-script-${position}`
    await addToRoot(root, [rootFile(path, text, 0o755)], context)
    const argv = text.startsWith('#!') ? ([path] as const) : (['/bin/sh', '-eu', path] as const)
    await runInRoot(context, root, { argv, options: { stdout: 'ignore' } })
    await runInRoot(context, root, { argv: ['/bin/rm', path] })
  }
}

async function readScript(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw ioError(`reading script ${path}`, cause)
  })
}
