import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { identifiersFor } from '../../../src/pack/build/identifiers.ts'

test('identifiers follow from name, content and purpose, and from nothing else', () => {
  const ids = identifiersFor('a', { x: 1, y: [2] })
  expect(identifiersFor('a', { y: [2], x: 1 }).uuid('disk')).toBe(ids.uuid('disk'))
  expect(ids.uuid('disk')).not.toBe(ids.uuid('partition root'))
  expect(identifiersFor('b', { x: 1, y: [2] }).uuid('disk')).not.toBe(ids.uuid('disk'))
  expect(identifiersFor('a', { x: 1, y: [3] }).uuid('disk')).not.toBe(ids.uuid('disk'))
})

test('a UUID is of version 8, variant 10, and can be made by hand', () => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const seed = sha256('osflash recipe\0a\0{"x":1}\0')
  const digest = sha256(`osflash identifier\0${seed}\0disk\0`)
  const uuid = identifiersFor('a', { x: 1 }).uuid('disk')
  expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(uuid.slice(0, 13)).toBe(`${digest.slice(0, 8)}-${digest.slice(8, 12)}`)
  expect(identifiersFor('a', { x: 1 }).hex('disk', 4)).toBe(digest.slice(0, 8))
})
