import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseSettings } from '../../../src/flash/systems.ts'
import { settingsText } from '../../../src/flash/trial/settings.ts'
import { run } from '../../../src/system/run.ts'

const value = fc.string({ unit: 'grapheme' }).filter((text) => !/\p{Cc}/u.test(text))
const variables = fc.dictionary(fc.stringMatching(/^[A-Z][A-Z0-9_]{0,9}$/), value)

test('what is written is read back, without running anything', () => {
  fc.assert(
    fc.property(variables, (settings) => {
      expect(parseSettings(settingsText(settings))).toEqual({ ...settings })
    }),
  )
})

test('a shell reads the same, and runs nothing', async () => {
  const hostile = `it's "$HOME" $(touch /never) \`touch /never\` \\ ; & | > *`
  const script = `${settingsText({ VALUE: hostile })}printf '%s' "$VALUE"\n`
  const { stdout } = await run(['sh', '-s'], { stdin: Buffer.from(script) })
  expect(stdout).toBe(hostile)
})

test.each([
  ['a name that is none', { 'A B': '' }],
  ['a lower-case name', { path: '' }],
  ['a value of two lines', { A: 'one\nB=two' }],
  ['a value with NUL', { A: '\0' }],
])('%s is refused', (_what, settings: Record<string, string>) => {
  expect(() => settingsText(settings)).toThrow(expect.objectContaining({ code: 'refused' }))
})
