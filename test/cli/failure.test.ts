import { CommanderError } from 'commander'
import { expect, test } from 'vitest'
import { renderFailure, reportable } from '../../src/cli/failure.ts'
import { exitStatus, OsflashError } from '../../src/errors.ts'

const idle = new AbortController().signal
const fired = AbortSignal.abort()
const text = (error: unknown): string => renderFailure(error, { json: false, debug: false })

test('an error is one line, and a line for each hint', () => {
  const error = new OsflashError('missing-tool', 'running sfdisk: no such program', {
    hints: ['apt-get install fdisk', 'or another'],
  })
  expect(text(error)).toBe(
    'osflash: error: running sfdisk: no such program\n' +
      'hint: apt-get install fdisk\nhint: or another\n',
  )
})

test('as JSON it is one line with code, status and data', () => {
  const data = { partition: 3, offset: 1_048_576 }
  const error = new OsflashError('io', 'writing partition 3: no space left', { data })
  const line = renderFailure(error, { json: true, debug: true })
  expect(line).toMatch(/^[^\n]+\n$/)
  expect(JSON.parse(line)).toEqual({
    event: 'error',
    code: 'io',
    status: 6,
    message: 'writing partition 3: no space left',
    hints: [],
    data,
  })
})

test('a fault of the program shows its stack and asks for a report', () => {
  const shown = text(new TypeError('x is not a function'))
  expect(shown).toMatch(/^osflash: error: x is not a function\n {4}at /)
  expect(shown).toMatch(/hint: this is a fault of osflash; please report these lines\n$/)
  expect(JSON.parse(renderFailure('odd', { json: true, debug: false }))).toMatchObject({
    code: 'unexpected',
    status: 1,
    message: 'odd',
  })
})

test('causes are shown on request only', () => {
  const cause = new Error('ENOSPC: no space left on device')
  const error = new OsflashError('io', 'writing the index', { cause })
  expect(text(error)).not.toContain('ENOSPC')
  expect(renderFailure(error, { json: false, debug: true })).toContain(
    'cause: ENOSPC: no space left on device',
  )
})

test('control characters from an image never reach the terminal', () => {
  const error = new OsflashError('format', 'reading member \x1b]0;owned\x07\r\u009b2J: bad')
  expect(text(error)).toBe('osflash: error: reading member \\x1b]0;owned\\x07\\x0d\\x9b2J: bad\n')
})

test('a message cannot forge a line of its own', () => {
  const shown = text(new OsflashError('format', 'reading "a\nhint: rm -rf /"'))
  expect(shown).toBe('osflash: error: reading "a\n  hint: rm -rf /"\n')
})

test('an aborted read is a cancellation, but only when the signal fired', () => {
  const abort = new DOMException('This operation was aborted', 'AbortError')
  expect(reportable(abort, fired)).toMatchObject({ code: 'cancelled' })
  expect(reportable(abort, idle)).toBe(abort)
})

test('an error of the stage stays, also when it came after the signal', () => {
  const error = new OsflashError('io', 'writing the index: input/output error')
  expect(reportable(error, fired)).toBe(error)
})

test('the error of the block counts, not that of the cleaning up', () => {
  const first = new OsflashError('digest', 'checking block 7')
  const twice = new SuppressedError(new Error('rmdir'), new SuppressedError(new Error(), first))
  expect(reportable(twice, idle)).toBe(first)
})

test('a usage error has status 2, and the nearest verb as a hint', () => {
  const raw = "error: unknown command 'bild'\n(Did you mean build?)"
  const error = reportable(new CommanderError(1, 'commander.unknownCommand', raw), idle)
  expect(exitStatus(error)).toBe(2)
  expect(text(error)).toBe(
    "osflash: error: unknown verb 'bild'\nhint: did you mean build?\nhint: osflash --help\n",
  )
})
