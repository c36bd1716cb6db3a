import { expect, test } from 'vitest'
import { cleanedFacts, cleanedText } from '../../src/cli/actions/cleanup.ts'

const disk = '/dev/sdb'

test('a blank disk is called blank', () => {
  expect(cleanedText({ disk, isBlank: true })).toBe('/dev/sdb is blank')
  expect(cleanedFacts({ disk, isBlank: true })).toEqual({ blank: disk })
})

test('one that did not take all zeros is not', () => {
  const cleaned = { disk, isBlank: false }
  expect(cleanedText(cleaned)).toMatch(/^\/dev\/sdb starts nothing .*secrets may be left on it$/)
  expect(cleanedFacts(cleaned)).toEqual({ blank: null, disk, secretsMayBeLeft: true })
})
