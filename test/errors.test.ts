import { open } from 'node:fs/promises'
import { constants } from 'node:os'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  cancelled,
  type ErrorCode,
  errnoOf,
  exitStatus,
  ioError,
  messageOf,
  OsflashError,
  throwIfCancelled,
} from '../src/errors.ts'

const STATUSES: Readonly<Record<ErrorCode, number>> = {
  unexpected: 1,
  usage: 2,
  recipe: 2,
  refused: 3,
  'missing-tool': 3,
  signature: 4,
  decryption: 4,
  trust: 4,
  network: 5,
  io: 6,
  process: 6,
  limit: 6,
  format: 6,
  digest: 6,
  readback: 7,
  cancelled: 130,
}

test.each(Object.entries(STATUSES))('%s ends with status %i', (code, status) => {
  const known = Object.keys(STATUSES).find((name): name is ErrorCode => name === code)
  expect(exitStatus(new OsflashError(known ?? 'unexpected', 'x'))).toBe(status)
})

test('whatever else is thrown is a fault of the program', () => {
  fc.assert(
    fc.property(fc.anything(), (thrown) => {
      expect(exitStatus(thrown)).toBe(1)
    }),
  )
  expect(exitStatus(new TypeError('x'))).toBe(1)
  expect(exitStatus({ code: 'usage' })).toBe(1)
})

test('an error without details has no data, no hints and no cause', () => {
  const error = new OsflashError('io', 'writing x: full')
  expect(error).toMatchObject({ name: 'OsflashError', code: 'io', data: {}, hints: [] })
  expect('cause' in error).toBe(false)
  expect(error).toBeInstanceOf(Error)
})

test('details are kept as they were given', () => {
  const cause = new Error('below')
  const error = new OsflashError('digest', 'x', { cause, data: { block: 3 }, hints: ['a', 'b'] })
  expect(error.cause).toBe(cause)
  expect(error.data).toEqual({ block: 3 })
  expect(error.hints).toEqual(['a', 'b'])
})

const errno = (code: string): Error => Object.assign(new Error(`${code}: raw`), { code })

test.each([
  ['ENOENT', 'no such file or directory'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'operation not permitted'],
  ['ENOSPC', 'no space left'],
  ['EISDIR', 'is a directory'],
  ['ENOTDIR', 'not a directory'],
  ['EEXIST', 'already exists'],
  ['EIO', 'input/output error'],
  ['EROFS', 'read-only file system'],
  ['EBUSY', 'device or resource busy'],
])('%s reads: %s', (code, words) => {
  const error = ioError('writing disk.img', errno(code), { offset: 7 })
  expect(error).toMatchObject({
    code: 'io',
    message: `writing disk.img: ${words}`,
    data: { offset: 7, errno: code },
  })
  expect(Object.keys(constants.errno)).toContain(code)
})

test('an errno without words of ours keeps those of the system', () => {
  const error = ioError('opening x', errno('EMFILE'))
  expect(error.message).toBe('opening x: EMFILE: raw')
  expect(error.data).toEqual({ errno: 'EMFILE' })
})

test('what is no system error is told as it is', () => {
  expect(ioError('opening x', new Error('odd'))).toMatchObject({
    message: 'opening x: odd',
    data: {},
  })
  expect(ioError('opening x', 'text').message).toBe('opening x: text')
  expect(ioError('opening x', undefined).message).toBe('opening x: undefined')
})

test('an error that is already ours is not wrapped again', () => {
  const first = cancelled()
  expect(ioError('writing x', first)).toBe(first)
  const refused = new OsflashError('refused', 'no')
  expect(ioError('writing x', refused, { errno: 'EIO' })).toBe(refused)
})

test('a full disk and a closed file have a hint that can be followed', () => {
  expect(ioError('x', errno('ENOSPC')).hints.join()).toContain('free space there')
  expect(ioError('x', errno('EACCES')).hints.join()).toContain('run as root')
  expect(ioError('x', errno('EIO')).hints).toEqual([])
})

test('a real system error is read like those above', async () => {
  const cause: unknown = await open('/nonexistent/x', 'r').catch((error: unknown) => error)
  expect(errnoOf(cause)).toBe('ENOENT')
  expect(ioError('opening x', cause).message).toBe('opening x: no such file or directory')
})

test('only text counts as an errno', () => {
  fc.assert(
    fc.property(fc.anything(), (thrown) => {
      const found = errnoOf(thrown)
      expect(found === undefined || typeof found === 'string').toBe(true)
    }),
  )
  expect(errnoOf({ code: 5 })).toBeUndefined()
  expect(errnoOf(null)).toBeUndefined()
  expect(errnoOf('ENOENT')).toBeUndefined()
  expect(errnoOf({ code: 'ENOENT' })).toBe('ENOENT')
})

test('a signal that fired is a cancellation', () => {
  const stop = new AbortController()
  expect(() => throwIfCancelled(undefined)).not.toThrow()
  expect(() => throwIfCancelled(stop.signal)).not.toThrow()
  stop.abort()
  expect(() => throwIfCancelled(stop.signal)).toThrow(cancelled())
  expect(exitStatus(cancelled())).toBe(130)
})

test('whatever was thrown says something', () => {
  expect(messageOf(new OsflashError('io', 'reading x: no'))).toBe('reading x: no')
  expect([messageOf('text'), messageOf(undefined)]).toEqual(['text', 'undefined'])
})
