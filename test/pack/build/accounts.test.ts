import { expect, test } from 'vitest'
import { accountsOf, withStableDates, withUsers } from '../../../src/pack/build/accounts.ts'
import type { RecipeUser } from '../../../src/pack/recipe/schema.ts'

const FILES = {
  passwd: 'root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/sh\n',
  group: 'root:x:0:\nsudo:x:27:\nada:x:1000:\n',
  shadow: 'root:*:19000:0:99999:7:::\nada:!:19000:0:99999:7:::\n',
  gshadow: 'root:*::\nsudo:*::\nada:!::\n',
}

const user = (name: string, more: Partial<RecipeUser> = {}): RecipeUser => ({
  name,
  'password-hash': '*',
  'authorized-keys': [],
  groups: [],
  shell: '/bin/bash',
  ...more,
})

test('a new user gets the next free uid, a group, and its groups', () => {
  const after = withUsers(FILES, [user('bob', { groups: ['sudo'], 'password-hash': '$y$x' })])
  expect(after.passwd).toBe(`${FILES.passwd}bob:x:1001:1001::/home/bob:/bin/bash\n`)
  expect(after.group).toBe('root:x:0:\nsudo:x:27:bob\nada:x:1000:\nbob:x:1001:\n')
  expect(after.gshadow).toBe('root:*::\nsudo:*::bob\nada:!::\nbob:!::\n')
  expect(withStableDates(after.shadow, 1_700_000_000)).toBe(
    `${FILES.shadow}bob:$y$x:19675:0:99999:7:::\n`,
  )
})

test('a user that is there keeps its ids', () => {
  const after = withUsers(FILES, [user('ada', { shell: '/bin/zsh', groups: ['sudo', 'sudo'] })])
  expect(after.passwd).toContain('ada:x:1000:1000::/home/ada:/bin/zsh\n')
  expect(after.group).toContain('sudo:x:27:ada\n')
  expect(after.shadow).toContain('ada:*:19000:')
})

test('users that ask for a taken uid or a missing group are refused', () => {
  expect(() => withUsers(FILES, [user('bob', { uid: 1000 })])).toThrow(
    'adding user bob: uid 1000 is taken',
  )
  expect(() => withUsers(FILES, [user('bob', { groups: ['wheel'] })])).toThrow(
    'adding user bob: no group wheel',
  )
})

test('dates in shadow are never after SOURCE_DATE_EPOCH, and older ones stay', () => {
  expect(withStableDates('a:*:20000:::::\nb:*:10:::::\nc:*::::::\n', 86_400 * 100)).toBe(
    'a:*:100:::::\nb:*:10:::::\nc:*::::::\n',
  )
})

test('accounts are read from passwd, comments and empty lines passed over', () => {
  expect(accountsOf(`# x\n\n${FILES.passwd}`).map(({ name, home }) => [name, home])).toEqual([
    ['root', '/root'],
    ['ada', '/home/ada'],
  ])
})
