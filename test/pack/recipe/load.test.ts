import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import { loadRecipe } from '../../../src/pack/recipe/load.ts'
import { recipeFolder, TINY } from './recipe-folder.ts'

async function failure(
  files: Readonly<Record<string, string>>,
  set: readonly string[] = [],
): Promise<OsflashError> {
  await using folder = await recipeFolder({ 'tree/etc/hostname': 'x', ...files })
  const error = await loadRecipe(join(folder.path, 'recipe.yaml'), { set }).then(
    () => new Error('the recipe was accepted'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof OsflashError)) throw error
  const message = error.message.replaceAll(`${folder.path}/`, '')
  return new OsflashError(error.code, message, { data: error.data, hints: error.hints })
}

describe('a recipe that is right', () => {
  test('gets its defaults', async () => {
    await using folder = await recipeFolder({
      'tree/f': '',
      'recipe.yaml': 'name: a\nsource: {directory: tree}\n',
    })
    const { recipe } = await loadRecipe(join(folder.path, 'recipe.yaml'))
    expect(recipe.firmware).toEqual(['bios', 'uefi'])
    expect(recipe.disk.partitions.map(({ role, grow }) => [role, grow])).toEqual([
      ['bios-boot', false],
      ['esp', false],
      ['root', true],
    ])
    expect(recipe.source.directory).toBe(join(folder.path, 'tree'))
    expect(recipe.customise.services).toEqual({ enable: [], disable: [] })
  })

  test('is merged over its base: mappings by key, lists as a whole, null removes', async () => {
    await using folder = await recipeFolder({
      'base/base.yaml': `${TINY}os: {id: base, version: "1"}
customise: {hostname: a}
access: {root-authorized-keys: [one, two]}
`,
      'base/tree/f': '',
      'recipe.yaml': `extends: base/base.yaml
name: over
os: {version: "2"}
customise: {hostname: null}
access: {root-authorized-keys: [three]}
`,
    })
    const { recipe } = await loadRecipe(join(folder.path, 'recipe.yaml'))
    expect(recipe.name).toBe('over')
    expect(recipe.os).toMatchObject({ id: 'base', version: '2' })
    expect(recipe.customise.hostname).toBeUndefined()
    expect(recipe.access['root-authorized-keys']).toEqual(['three'])
    // A path of the base starts in the base's folder.
    expect(recipe.source.directory).toBe(join(folder.path, 'base/tree'))
  })

  test('takes values of --set as YAML, and appends to lists', async () => {
    await using folder = await recipeFolder({ 'tree/f': '', 'recipe.yaml': TINY })
    const set = [
      'sequence=7',
      'customise.hostname=web1',
      'customise.users.0={name: ada, groups: [sudo]}',
      'customise.users.0.uid=1500',
      "access.root-authorized-keys=['ssh-ed25519 AAAA a=b']",
    ]
    const { recipe } = await loadRecipe(join(folder.path, 'recipe.yaml'), { set })
    expect(recipe.sequence).toBe(7)
    expect(recipe.customise.hostname).toBe('web1')
    expect(recipe.customise.users).toMatchObject([{ name: 'ada', uid: 1500, groups: ['sudo'] }])
    expect(recipe.access['root-authorized-keys']).toEqual(['ssh-ed25519 AAAA a=b'])
  })

  test('finds an archive in its folder', async () => {
    const text = `${TINY}customise: {archives: [{source: a.tar, into: /opt}]}\n`
    await using folder = await recipeFolder({ 'tree/f': '', 'a.tar': '', 'recipe.yaml': text })
    const { recipe } = await loadRecipe(join(folder.path, 'recipe.yaml'))
    const archive = { source: join(folder.path, 'a.tar'), into: '/opt', strip: 0 }
    expect(recipe.customise.archives).toEqual([archive])
  })

  test('says how the bundle is made that the rescue needs', async () => {
    const source = 'osflash-linux-x64.tar.zst'
    const text = `${TINY}customise: {archives: [{source: ${source}, into: /opt}]}\n`
    await using folder = await recipeFolder({ 'tree/f': '', 'recipe.yaml': text })
    await expect(loadRecipe(join(folder.path, 'recipe.yaml'))).rejects.toMatchObject({
      code: 'io',
      message: expect.stringMatching(
        /recipe\.yaml:5:\d+: customise\.archives\.0\.source: osflash.*: no such file or/,
      ),
      hints: ['npm run bundle', 'or copy the bundle of a release to this place'],
    })
  })

  test.each(['debian-13', 'debian-12', 'rescue-debian-13'])('ships as %s', async (name) => {
    // The bundle of the rescue is there only after `npm run bundle`.
    const set = ['customise.archives=[]']
    const path = join(import.meta.dirname, `../../../recipes/${name}.yaml`)
    const { recipe } = await loadRecipe(path, { set })
    expect(recipe.name).toBe(name)
    expect(recipe.source.debian?.mirror).toBeUndefined()
  })
})

describe('a recipe that is wrong names file, line, column and key', () => {
  test.each<readonly [what: string, text: string, message: string, hints: readonly string[]]>([
    [
      'an unknown key',
      `${TINY}customise: {hostnam: a}\n`,
      'reading recipe.yaml:5:13: customise.hostnam: unknown key',
      ['the nearest known key is hostname'],
    ],
    [
      'an unknown key in a list',
      `${TINY}customise:\n  users:\n    - name: ada\n      pasword-hash: x\n`,
      'reading recipe.yaml:8:7: customise.users.0.pasword-hash: unknown key',
      ['the nearest known key is password-hash'],
    ],
    [
      'an unknown key that resembles none',
      `${TINY}quux: 1\n`,
      'reading recipe.yaml:5:1: quux: unknown key',
      [],
    ],
    [
      'two sources',
      'name: a\nsource: {directory: tree, tar: tree}\n',
      'reading recipe.yaml:2:1: source: must be exactly one of debian, directory, tar, disk',
      [],
    ],
    [
      'broken YAML',
      'name: [a\n',
      'reading recipe.yaml:2:1: flow sequence in block collection must be ' +
        'sufficiently indented and end with a ]',
      [],
    ],
    ['a list', '- a\n', 'reading recipe.yaml:1:1: a recipe is a mapping', []],
    [
      'a key that is there twice',
      'name: a\nname: b\n',
      'reading recipe.yaml:2:1: map keys must be unique',
      [],
    ],
    [
      'a base that is the recipe itself',
      'extends: recipe.yaml\n',
      'reading recipe.yaml:1:1: extends: goes in a circle',
      [],
    ],
    [
      'a growing partition before the last',
      `name: a
firmware: []
source: {directory: tree}
disk:
  partitions:
    - {role: root, grow: true}
    - {role: swap, size: 64MiB}
`,
      'reading recipe.yaml:6:20: disk.partitions.0.grow: only the last partition can grow',
      [],
    ],
    [
      'firmware without what it boots from',
      'name: a\nsource: {directory: tree}\ndisk: {partitions: [{role: root}]}\n',
      'reading recipe.yaml:3:8: disk.partitions: booting under UEFI needs an esp (and 1 more)',
      [],
    ],
    [
      'a mount point that leaves its folder',
      `${TINY}customise: {files: [{path: /etc/../../x, content: a}]}\n`,
      'reading recipe.yaml:5:22: customise.files.0.path: must be an absolute path without ..',
      [],
    ],
  ])('%s', async (_what, text, message, hints) => {
    const error = await failure({ 'recipe.yaml': text })
    expect(error.code).toBe('recipe')
    expect(error.message).toBe(message)
    expect(error.hints).toEqual(hints)
  })

  test('a mistyped --set names the assignment', async () => {
    const error = await failure({ 'recipe.yaml': TINY }, ['customise.hostnme=a'])
    expect(error.message).toBe('reading --set customise.hostnme: customise.hostnme: unknown key')
    expect((await failure({ 'recipe.yaml': TINY }, ['nonsense'])).message).toBe(
      'reading --set nonsense: not of the form key=value',
    )
    expect(
      (await failure({ 'recipe.yaml': TINY }, ['customise.users=[]', 'customise.users.3.name=a']))
        .message,
    ).toBe('reading --set customise.users.3.name=a: no item 3.name in a list of 0')
  })

  test('an error in a base names the base', async () => {
    const error = await failure({
      'base.yaml': `${TINY}\nsequenze: 1\n`,
      'recipe.yaml': 'extends: base.yaml\n',
    })
    expect(error.message).toBe('reading base.yaml:6:1: sequenze: unknown key')
    expect(error.hints).toEqual(['the nearest known key is sequence'])
  })
})

describe('paths stay in the folder of the recipe', () => {
  test('a path with .. is refused', async () => {
    const error = await failure({
      'recipe.yaml': 'name: a\nsource: {directory: tree/../..}\n',
    })
    expect(error.message).toMatch(/source\.directory: tree\/\.\.\/\.\. lies outside/)
    expect(error.hints).toEqual(['give an absolute path to allow it'])
  })

  test('a symbolic link that leads out is refused', async () => {
    await using folder = await recipeFolder({ 'inner/recipe.yaml': TINY, 'outer/f': '' })
    await symlink('../outer', join(folder.path, 'inner/tree'))
    await expect(loadRecipe(join(folder.path, 'inner/recipe.yaml'))).rejects.toMatchObject({
      code: 'recipe',
      data: { key: 'source.directory', path: 'tree' },
    })
  })

  test('an absolute path is taken', async () => {
    await using folder = await recipeFolder({ 'recipe.yaml': TINY })
    await using elsewhere = await recipeFolder({ f: '' })
    await mkdir(join(folder.path, 'tree'))
    const set = [`source.directory=${elsewhere.path}`]
    const { recipe } = await loadRecipe(join(folder.path, 'recipe.yaml'), { set })
    expect(recipe.source.directory).toBe(elsewhere.path)
  })

  test('a file that is not there is an error that names the key', async () => {
    await using folder = await recipeFolder({ 'recipe.yaml': TINY })
    await expect(loadRecipe(join(folder.path, 'recipe.yaml'))).rejects.toMatchObject({
      code: 'io',
      message: expect.stringMatching(/recipe\.yaml:3:10: source\.directory: tree: no such file/),
    })
  })
})
