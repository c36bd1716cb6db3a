/** A server that lies, and one that sends without an end: nothing of it is taken. */
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { type Asked, ETAG, FILE, type Spoil, sendGood, serve } from './hostile-server.ts'
import { AT, behindFront, open, readAt, WANTED } from './reading.ts'

/** The error of opening (`first`) or of reading behind the front. */
async function failure(spoil: Spoil, first = false): Promise<unknown> {
  const server = await serve(first ? spoil : behindFront(spoil))
  const error = await open(server.url)
    .then((source) => readAt(source, AT, 100_000))
    .then(
      () => undefined,
      (reason: unknown) => reason,
    )
  expect(error).toMatchObject({ code: 'network', data: { host: server.host } })
  return error
}

const differing =
  (headers: (asked: Asked) => Readonly<Record<string, string | undefined>>): Spoil =>
  (asked, response) =>
    sendGood(asked, response, { headers: headers(asked) })

describe('lies that end the reading at once', () => {
  const total = FILE.length
  test.each<[string, Spoil, RegExp]>([
    [
      'another range',
      differing(({ start, end }) => ({ 'content-range': `bytes ${start + 1}-${end}/${total}` })),
      /sends bytes 200001 to 300000, not 200000 to 299999$/,
    ],
    [
      'a range from 0',
      differing(({ start, end }) => ({ 'content-range': `bytes 0-${end - start - 1}/${total}` })),
      /sends bytes 0 to 99999/,
    ],
    [
      'another total',
      differing(({ start, end }) => ({ 'content-range': `bytes ${start}-${end - 1}/999999` })),
      /the file has 999999 bytes now, not 400000$/,
    ],
    [
      'no total',
      differing(({ start, end }) => ({ 'content-range': `bytes ${start}-${end - 1}/*` })),
      /does not say which range/,
    ],
    ['no range', differing(() => ({ 'content-range': undefined })), /does not say which range/],
    ['another length', differing(() => ({ 'content-length': '99999' })), /announces 99999 bytes/],
    ['another ETag', differing(() => ({ etag: '"v2"' })), /the ETag of the file changed$/],
    ['a weak ETag', differing(() => ({ etag: `W/${ETAG}` })), /no strong ETag/],
    ['no ETag', differing(() => ({ etag: undefined })), /no strong ETag/],
    ['gzip', differing(() => ({ 'content-encoding': 'gzip' })), /encodes the file \(gzip\)/],
    [
      'parts',
      differing(() => ({ 'content-type': 'multipart/byteranges; boundary=x' })),
      /in several parts$/,
    ],
    ['404', (asked, response) => sendGood(asked, response, { status: 404 }), /answers 404$/],
  ])('%s', async (_, spoil, message) => {
    const error = await failure(spoil)
    expect(error).toMatchObject({
      message: expect.stringMatching(message),
      data: { offset: AT, attempts: 1 },
    })
  })

  test('the whole file for a range: its body is not taken', async () => {
    const error = await failure((_, response) => {
      response.writeHead(200, { etag: ETAG })
      const write = (): boolean => response.write(FILE)
      response.on('drain', write)
      write()
      return true
    }, true)
    expect(error).toMatchObject({
      message: expect.stringMatching(/at byte 0: the server answers a range with the whole file/),
      data: { status: 200 },
      hints: [expect.stringContaining('nginx'), expect.stringContaining('fetch the image first')],
    })
  })

  test('gzip in the transfer coding', async () => {
    const error = await failure((asked, response) => {
      response.writeHead(206, {
        'content-range': `bytes ${asked.start}-${asked.end - 1}/${FILE.length}`,
        'transfer-encoding': 'gzip, chunked',
        etag: ETAG,
      })
      response.end(gzipSync(FILE.subarray(asked.start, asked.end)))
      return true
    })
    expect(error).toMatchObject({ message: expect.stringContaining('(gzip, chunked)') })
  })

  test('a body without an end, chunked: no more than the range is taken', async () => {
    const error = await failure((asked, response) => {
      response.writeHead(206, {
        'content-range': `bytes ${asked.start}-${asked.end - 1}/${FILE.length}`,
        etag: ETAG,
      })
      const write = (): boolean => response.write(FILE)
      response.on('drain', write)
      write()
      return true
    })
    expect(error).toMatchObject({ message: expect.stringMatching(/sends more than it announced$/) })
  })

  test('headers without an end', async () => {
    const error = await failure(differing(() => ({ 'x-long': 'x'.repeat(40_000) })))
    expect(error).toMatchObject({ message: expect.stringContaining('httpHeaderBytes') })
  })

  test('headers of 20 KiB are taken', async () => {
    const server = await serve(differing(() => ({ 'x-long': 'x'.repeat(20_000) })))
    expect(await readAt(await open(server.url), AT, 100_000)).toEqual(WANTED)
  })
})
