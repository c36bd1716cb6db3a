/** The record of image sequences: protection against older images, which must not fail open. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { STORE, STORE_MOUNT } from '../../../src/flash/places.ts'
import {
  mergeSequences,
  parseSequences,
  readSequences,
  sequencesBytes,
} from '../../../src/flash/trial/sequences.ts'
import { scratchFolder } from '../journal-fixture.ts'

test('the highest of each name stays', () => {
  expect(mergeSequences([{ a: 1, b: 5 }, { a: 3 }, { b: 4 }])).toEqual({ a: 3, b: 5 })
})

test('what was written is read, and a host that never took an image has none', async () => {
  const path = join(await scratchFolder(), 'sequences.json')
  expect(await readSequences(path)).toEqual({})
  await writeFile(path, sequencesBytes({ web: 7 }))
  expect(await readSequences(path)).toEqual({ web: 7 })
})

test.each(['', '{"web":', '[]', 'null', '{"web":"7"}', '{"web":-1}', '{"web":1.5}'])(
  'a record that is none is not taken for an empty one: %j',
  (text) => {
    const parse = () => parseSequences(Buffer.from(text), '/var/lib/osflash/sequences.json')
    expect(parse).toThrow(
      expect.objectContaining({
        code: 'format',
        message: 'reading /var/lib/osflash/sequences.json: it is no record of image sequences',
        hints: ['restore it from a backup', 'remove it: older images are taken then, too'],
      }),
    )
  },
)

test('one of the store says how the store is looked at', () => {
  const parse = () => parseSequences(Buffer.from(''), `${STORE_MOUNT}/${STORE.sequences}`)
  const hint = 'mount LABEL=osflash-store /run/osflash/store, unless it is mounted'
  expect(parse).toThrow(expect.objectContaining({ hints: expect.arrayContaining([hint]) }))
})

test('nor is one that cannot be read', async () => {
  const path = join(await scratchFolder(), 'sequences.json')
  await mkdir(path)
  await expect(readSequences(path)).rejects.toMatchObject({ code: 'io' })
})
