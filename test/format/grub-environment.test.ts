import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  changeGrubEnvironment,
  emptyGrubEnvironment,
  parseGrubEnvironment,
} from '../../src/format/grub-environment.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

/** What GRUB's own tool makes of the same. */
async function byGrub(...words: string[]): Promise<Buffer> {
  await using scratch = await makeScratch('grub-environment')
  await mkdir(join(scratch.path, 'grub'))
  const path = join(scratch.path, 'grub', 'grubenv')
  await run(['grub-editenv', path, 'create'])
  if (words.length > 0) await run(['grub-editenv', path, 'set', ...words])
  return readFile(path)
}

/** Newer versions write a comment into a new block. */
const withoutComments = (block: Uint8Array): string =>
  Buffer.from(block)
    .toString()
    .replace(/^# WARNING.*\n/m, '')
    .padEnd(1024, '#')

test('a new block, and one with variables, are those of grub-editenv', async () => {
  const empty = emptyGrubEnvironment()
  expect(Buffer.from(empty).toString()).toBe(withoutComments(await byGrub()))
  const variables = { a: '1', next_entry: 'x>y' }
  const changed = Buffer.from(changeGrubEnvironment(empty, variables)).toString()
  const byTool = await byGrub('a=1', 'next_entry=x>y')
  expect(changed).toBe(withoutComments(byTool))
  expect(parseGrubEnvironment(byTool)).toEqual(new Map(Object.entries(variables)))
})

test('grub-editenv reads a value with a newline and a backslash as it was meant', async () => {
  await using scratch = await makeScratch('grub-environment')
  const path = join(scratch.path, 'grubenv')
  const block = changeGrubEnvironment(emptyGrubEnvironment(), { a: 'x\\y\nb=2', c: '3' })
  await writeFile(path, block)
  expect((await run(['grub-editenv', path, 'list'])).stdout).toBe('a=x\\y\nb=2\nc=3\n')
  expect([...parseGrubEnvironment(block)]).toEqual([
    ['a', 'x\\y\nb=2'],
    ['c', '3'],
  ])
})

test('a change keeps comments, other variables and their order', () => {
  const text = '# GRUB Environment Block\n# WARNING: by hand\na=1\nb=2\nc=3\n'
  const block = Buffer.from(text.padEnd(1024, '#'))
  const changed = Buffer.from(changeGrubEnvironment(block, { b: 'two', c: undefined, d: '4' }))
  const expected = '# GRUB Environment Block\n# WARNING: by hand\na=1\nb=two\nd=4\n'
  expect(changed.toString()).toBe(expected.padEnd(1024, '#'))
  expect(Buffer.from(changeGrubEnvironment(block, {}))).toEqual(block)
})

test('setting and taking out again gives the same bytes', () => {
  const name = fc.stringMatching(/^[a-z_]{1,8}$/)
  const value = fc.stringMatching(/^[ -~\n]{0,20}$/)
  fc.assert(
    fc.property(fc.dictionary(name, value, { maxKeys: 5 }), value, (variables, next) => {
      const before = changeGrubEnvironment(emptyGrubEnvironment(), variables)
      const set = changeGrubEnvironment(before, { NEXT: next })
      expect(parseGrubEnvironment(set)).toEqual(
        new Map([...Object.entries(variables), ['NEXT', next]]),
      )
      expect(changeGrubEnvironment(set, { NEXT: undefined })).toEqual(before)
    }),
  )
})

test('what is no block is refused, and so is what does not fit', () => {
  const noBlock = [
    Buffer.alloc(1024, '#'),
    emptyGrubEnvironment().subarray(0, 1023),
    Buffer.alloc(0),
  ]
  for (const bytes of noBlock) {
    expect(() => parseGrubEnvironment(bytes)).toThrow(
      'reading a GRUB environment block: it is none',
    )
  }
  const room = 1024 - '# GRUB Environment Block\na=\n'.length
  const full = changeGrubEnvironment(emptyGrubEnvironment(), { a: 'x'.repeat(room) })
  expect(parseGrubEnvironment(full).get('a')).toHaveLength(room)
  expect(() => changeGrubEnvironment(full, { b: '' })).toThrow(/1027 bytes/)
})
