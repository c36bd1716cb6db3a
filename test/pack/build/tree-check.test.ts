import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import { checkTree } from '../../../src/pack/build/tree-check.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import {
  directory,
  END,
  entry,
  paxBlock,
  paxRecord,
  tarOf,
} from '../../format/tree/hand-made-tar.ts'

/** What checking says of a tar; `undefined` when it is a tree. */
async function refusalOf(tar: Buffer, names: readonly string[], signal?: AbortSignal) {
  await using scratch = await makeScratch('tree-check-test')
  const [tarball, list] = [join(scratch.path, 'tree.tar'), join(scratch.path, 'list')]
  await writeFile(tarball, tar)
  await writeFile(list, names.map((name) => `${name}\n`).join(''))
  const tree = { tarball, list, entries: names.length, shown: 'rootfs/', signal }
  return await checkTree(tree).then(
    () => undefined,
    (cause: unknown) => cause,
  )
}

const GOOD = [directory('d'), entry({ name: 'd/f', content: Buffer.alloc(3_000_000, 'x') })]

test('a tree passes', async () => {
  expect(await refusalOf(tarOf(...GOOD), ['d/', 'd/f'])).toBeUndefined()
  expect(await refusalOf(END, [])).toBeUndefined()
})

test.each([
  ['limit', [paxRecord('path', `${'d/'.repeat(64)}f`)], 'tarDepth'],
  ['limit', [paxRecord('path', 'n'.repeat(256))], 'tarNameBytes'],
  ['limit', [paxRecord('SCHILY.xattr.user.a', 'v'.repeat(65_536))], 'tarPaxBytes'],
  ['refused', [paxRecord('path', '../f')], undefined],
  ['refused', [paxRecord('SCHILY.xattr.other.a', 'v')], undefined],
])('%s, and the entry is named', async (code, pax, limit) => {
  const tar = tarOf(...GOOD, entry({ pax }))
  const error = await refusalOf(tar, ['d/', 'd/f', 'the third'])
  expect(error).toBeInstanceOf(OsflashError)
  expect(error).toMatchObject({
    code,
    data: { entry: 'the third', ...(limit === undefined ? {} : { limit }) },
    message: expect.stringMatching(/^packing the third of rootfs\/: unpack would refuse it: /),
    hints: [expect.stringContaining('remove or rename it')],
  })
})

test('a tar that changed while it was written is refused as a whole', async () => {
  const cut = Buffer.concat(GOOD)
  const error = await refusalOf(cut, ['d/', 'd/f'])
  expect(error).toMatchObject({ code: 'refused', data: { entry: null } })
  expect(error).toHaveProperty('message', expect.stringContaining('the end of the tar is missing'))
  const pax = paxBlock([paxRecord('uid', '1')])
  expect(await refusalOf(Buffer.concat([...GOOD, pax, END]), ['d/', 'd/f'])).toMatchObject({
    code: 'refused',
  })
})

test('a tar that is not there, and cancelling', async () => {
  const tree = { tarball: '/nowhere/tree.tar', list: '/nowhere/list', entries: 0, shown: 'x' }
  await expect(checkTree(tree)).rejects.toMatchObject({ code: 'io', data: { errno: 'ENOENT' } })
  const error = await refusalOf(tarOf(...GOOD), ['d/', 'd/f'], AbortSignal.abort())
  expect(error).toMatchObject({ code: 'cancelled' })
})
