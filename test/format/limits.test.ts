/** Limits: the value at the limit passes, the next does not, and the error says which and where. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { enforce, LIMITS } from '../../src/format/limits.ts'

it('takes the limit itself, refuses one more', () => {
  expect(() => enforce('frames', LIMITS.frames, 'x')).not.toThrow()
  expect(() => enforce('frames', LIMITS.frames + 1, 'index of payload root')).toThrow(
    expect.objectContaining({
      code: 'limit',
      message: 'reading index of payload root: 4194305 is over the limit of frames',
      data: { limit: 'frames', max: 4_194_304, value: 4_194_305, place: 'index of payload root' },
    }),
  )
})

it('are those that docs/format.md lists', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/format.md'), 'utf8')
  for (const name of ['segments', 'recipients', 'frames', 'extents', 'tarEntries'] as const) {
    expect(page).toContain(LIMITS[name].toLocaleString('en'))
  }
})
