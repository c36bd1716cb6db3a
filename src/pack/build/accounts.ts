/**
 * Users and groups of the new system: edits of passwd, group, shadow and gshadow as text.
 *
 * 1. A user that is there keeps its ids; password hash, shell and groups become the recipe's.
 * 2. A new one gets the recipe's uid or the next free one from 1000, and a group of its name.
 * 3. Last-change dates after SOURCE_DATE_EPOCH become that day, so two builds agree.
 *
 * Pure: texts in, texts out. Not promised: NIS, homed, or accounts outside these files.
 */
import { OsflashError } from '../../errors.ts'
import type { RecipeUser } from '../recipe/schema.ts'

export const FIRST_UID = 1_000
const LAST_UID = 59_999
const SECONDS_PER_DAY = 86_400

/** The four files; `gshadow` is empty where the system has none. */
export interface AccountFiles {
  readonly passwd: string
  readonly group: string
  readonly shadow: string
  readonly gshadow: string
}

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/** @throws OsflashError `recipe` when a uid is taken or a group does not exist */
export function withUsers(files: AccountFiles, users: readonly RecipeUser[]): AccountFiles {
  return users.reduce(withUser, files)
}

function withUser(files: AccountFiles, user: RecipeUser): AccountFiles {
  const known = accountsOf(files.passwd).find(({ name }) => name === user.name)
  const account = known ?? newAccount(files, user)
  const withAccount = known === undefined ? addAccount(files, user, account) : files
  return user.groups.reduce((all, group) => addMember(all, user.name, group), {
    ...withAccount,
    passwd: editLine(withAccount.passwd, user.name, (fields) => fields.with(6, user.shell)),
    shadow: editLine(withShadow(withAccount.shadow, user.name), user.name, (fields) =>
      fields.with(1, user['password-hash']),
    ),
  })
}

function newAccount({ passwd, group }: AccountFiles, user: RecipeUser): Account {
  const uids = new Set(accountsOf(passwd).map(({ uid }) => uid))
  const gids = new Set(groupsOf(group).map(({ gid }) => gid))
  let uid = user.uid ?? FIRST_UID
  if (user.uid !== undefined && uids.has(uid)) throw wrong(user, `uid ${uid} is taken`)
  while (user.uid === undefined && (uids.has(uid) || gids.has(uid)) && uid <= LAST_UID) uid += 1
  const own = groupsOf(group).find(({ name }) => name === user.name)
  if (own === undefined && gids.has(uid)) throw wrong(user, `group id ${uid} is taken`)
  return { name: user.name, uid, gid: own?.gid ?? uid, home: user.home ?? `/home/${user.name}` }
}

function addAccount(files: AccountFiles, user: RecipeUser, account: Account): AccountFiles {
  const { name, uid, gid, home } = account
  const hasGroup = groupsOf(files.group).some((group) => group.name === name)
  return {
    passwd: addLine(files.passwd, `${name}:x:${uid}:${gid}::${home}:${user.shell}`),
    shadow: addLine(files.shadow, shadowLine(name)),
    group: hasGroup ? files.group : addLine(files.group, `${name}:x:${gid}:`),
    gshadow:
      hasGroup || files.gshadow === '' ? files.gshadow : addLine(files.gshadow, `${name}:!::`),
  }
}

/** A user of passwd alone would silently get no password. */
function withShadow(shadow: string, name: string): string {
  const hasLine = shadow.split('\n').some((line) => line.startsWith(`${name}:`))
  return hasLine ? shadow : addLine(shadow, shadowLine(name))
}

const shadowLine = (name: string): string => `${name}:*:${UNSET_DAY}:0:99999:7:::`

/** Later than any date: `withStableDates` turns it into the build's day. */
const UNSET_DAY = 99_999

function addMember(files: AccountFiles, name: string, group: string): AccountFiles {
  if (!groupsOf(files.group).some((known) => known.name === group)) {
    throw new OsflashError('recipe', `adding user ${name}: no group ${group}`, {
      hints: [`a package of source.debian.packages may bring the group ${group}`],
    })
  }
  const add = (fields: readonly string[]) => {
    const members = (fields[3] ?? '').split(',').filter((member) => member !== '')
    return fields.with(3, [...new Set([...members, name])].join(','))
  }
  return {
    ...files,
    group: editLine(files.group, group, add),
    gshadow: editLine(files.gshadow, group, add),
  }
}

/** Last-change dates in shadow clamped to the day of `sourceDateEpoch` (seconds since 1970). */
export function withStableDates(shadow: string, sourceDateEpoch: number): string {
  // Day 0 means that the password must be changed at the next login (shadow(5)).
  const today = Math.max(1, Math.floor(sourceDateEpoch / SECONDS_PER_DAY))
  return shadow
    .split('\n')
    .map((text) => {
      const fields = text.split(':')
      return Number(fields[2] ?? '') > today ? fields.with(2, String(today)).join(':') : text
    })
    .join('\n')
}

export function accountsOf(passwd: string): readonly Account[] {
  return rows(passwd).map(([name = '', , uid, gid, , home = '/']) => {
    return { name, uid: Number(uid), gid: Number(gid), home }
  })
}

export function groupsOf(
  group: string,
): readonly { readonly name: string; readonly gid: number }[] {
  return rows(group).map(([name = '', , gid]) => ({ name, gid: Number(gid) }))
}

const rows = (text: string): string[][] =>
  text.split('\n').flatMap((row) => (row.includes(':') ? [row.split(':')] : []))

function editLine(
  text: string,
  name: string,
  edit: (fields: readonly string[]) => readonly string[],
): string {
  return text
    .split('\n')
    .map((row) => (row.startsWith(`${name}:`) ? edit(row.split(':')).join(':') : row))
    .join('\n')
}

const addLine = (text: string, row: string): string =>
  `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${row}\n`

function wrong(user: RecipeUser, why: string): OsflashError {
  return new OsflashError('recipe', `adding user ${user.name}: ${why}`, { hints: ['name a uid'] })
}
