/** Reading over HTTP, from a real server that lies, stalls, breaks off and redirects. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type HttpOptions, openHttpSource, pauseMs } from '../../src/deliver/http.ts'
import type { Source } from '../../src/deliver/source.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { type Asked, ETAG, FILE, type Spoil, sendGood, serve } from './hostile-server.ts'

const QUICK = { backoffFirstMs: 1, backoffMostMs: 2, attemptsOpening: 3, attemptsReading: 3 }
/** Behind what the first request brings. */
const AT = 200_000
const WANTED = FILE.slice(AT, AT + 100_000)
const good: Spoil = () => undefined
const behindFront: (spoil: Spoil) => Spoil = (spoil) => (asked, response) =>
  asked.number === 0 ? undefined : spoil(asked, response)

async function open(url: string, options: HttpOptions = {}): Promise<Source> {
  const source = await openHttpSource(url, { limits: QUICK, ...options })
  onTestFinished(() => source[Symbol.asyncDispose]())
  return source
}

async function readAt(source: Source, offset: number, bytes: number): Promise<Uint8Array> {
  const into = new Uint8Array(bytes)
  await source.read(offset, into)
  return into
}

describe('from a good server', () => {
  test('has the size of the file, and no query in its name', async () => {
    const server = await serve(good)
    const source = await open(`${server.url}?token=secret`)
    expect(source).toMatchObject({ name: `${server.url}?…`, bytes: FILE.length })
    expect(server.asked[0]?.path).toBe('/image.osimg?token=secret')
  })

  test('asks for no coding, and for the range alone', async () => {
    const server = await serve(good)
    await readAt(await open(server.url), AT, 1_000)
    expect(server.asked.map(({ headers }) => headers['accept-encoding'])).toEqual(
      server.asked.map(() => 'identity'),
    )
    expect(server.asked.at(-1)).toMatchObject({ start: AT, end: AT + 1_000 })
  })

  test('gives any range, in any order and at once', async () => {
    const source = await open((await serve(good)).url)
    const range = fc.tuple(fc.nat(FILE.length), fc.nat(FILE.length)).map(([one, other]) => ({
      start: Math.min(one, other),
      end: Math.max(one, other),
    }))
    await fc.assert(
      fc.asyncProperty(fc.array(range, { maxLength: 12 }), async (ranges) => {
        const read = await Promise.all(
          ranges.map(({ start, end }) => readAt(source, start, end - start)),
        )
        expect(read).toEqual(ranges.map(({ start, end }) => FILE.slice(start, end)))
      }),
      { numRuns: 25 },
    )
  })

  test('what the first request brought is not asked for again', async () => {
    const server = await serve(good)
    const source = await open(server.url)
    expect(await readAt(source, 512, 60_000)).toEqual(FILE.slice(512, 60_512))
    expect(server.asked).toHaveLength(1)
  })

  test('at most eight requests are under way, and more than one', async () => {
    const held: (() => void)[] = []
    const server = await serve(
      behindFront((asked, response) => {
        held.push(() => sendGood(asked, response))
        if (held.length === 8) for (const release of held.splice(0)) release()
        return true
      }),
    )
    const source = await open(server.url)
    await Promise.all(Array.from({ length: 16 }, (_, i) => readAt(source, AT + i, 10)))
    expect(server.most()).toBe(8)
  })

  test('a small file is in the first answer', async () => {
    const file = FILE.slice(0, 700)
    const source = await open((await serve(good, { file })).url)
    expect(source.bytes).toBe(700)
    expect(await readAt(source, 0, 700)).toEqual(file)
  })

  test('a range beyond the end is refused without asking', async () => {
    const server = await serve(good)
    const source = await open(server.url)
    await expect(readAt(source, FILE.length - 4, 10)).rejects.toMatchObject({
      code: 'io',
      message: `reading ${server.url} at byte ${FILE.length}: it ends here`,
    })
    expect(server.asked).toHaveLength(1)
  })

  test('chunked without a length is counted', async () => {
    const server = await serve((asked, response) =>
      sendGood(asked, response, { headers: { 'content-length': undefined } }),
    )
    expect(await readAt(await open(server.url), AT, 100_000)).toEqual(WANTED)
  })
})

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

describe('what is tried again', () => {
  test.each([429, 500, 502, 503, 504])('%d, twice', async (status) => {
    const server = await serve(
      behindFront((asked, response) =>
        asked.number < 3 ? sendGood(asked, response, { status }) : undefined,
      ),
    )
    expect(await readAt(await open(server.url), AT, 100_000)).toEqual(WANTED)
    expect(server.asked).toHaveLength(4)
  })

  test('a reset in the middle: goes on at the byte that is missing', async () => {
    const server = await serve(
      behindFront((asked, response) => {
        if (asked.number !== 1) return undefined
        response.writeHead(206, {
          'content-range': `bytes ${asked.start}-${asked.end - 1}/${FILE.length}`,
          'content-length': asked.end - asked.start,
          etag: ETAG,
        })
        response.write(FILE.subarray(asked.start, asked.start + 30_000), () => {
          // Sent, so that the reset does not overtake it.
          setImmediate(() => response.socket?.destroySoon())
        })
        return true
      }),
    )
    expect(await readAt(await open(server.url), AT, 100_000)).toEqual(WANTED)
    expect(server.asked.at(-1)).toMatchObject({ start: AT + 30_000, end: AT + 100_000 })
  })

  test('a kept connection that the server just closed: at once', async () => {
    const server = await serve((asked, response) => {
      if (asked.number === 1) response.socket?.destroy()
      return asked.number === 1 ? true : undefined
    })
    const limits = { ...QUICK, backoffFirstMs: 1e9, backoffMostMs: 1e9 }
    expect(await readAt(await open(server.url, { limits }), AT, 100_000)).toEqual(WANTED)
  })

  test('a short body without a length', async () => {
    const server = await serve(
      behindFront((asked, response) =>
        asked.number === 1
          ? sendGood(asked, response, {
              headers: { 'content-length': undefined },
              body: FILE.subarray(asked.start, asked.end - 1),
            })
          : undefined,
      ),
    )
    expect(await readAt(await open(server.url), AT, 100_000)).toEqual(WANTED)
    expect(server.asked.at(-1)).toMatchObject({ start: AT + 99_999, end: AT + 100_000 })
  })

  test('a server that is never well: so many times, and no more', async () => {
    const server = await serve(
      behindFront((asked, response) => sendGood(asked, response, { status: 503 })),
    )
    const source = await open(server.url)
    await expect(readAt(source, AT, 10)).rejects.toMatchObject({
      message: `reading ${server.url} at byte ${AT}: the server answers 503 (tried 3 times)`,
      data: { host: server.host, offset: AT, attempts: 3, status: 503 },
    })
    expect(server.asked).toHaveLength(4)
  })

  test('a server that never sends a body: a byte at a time is no progress', async () => {
    const server = await serve(
      behindFront((asked, response) =>
        sendGood(asked, response, {
          headers: { 'content-length': undefined },
          body: FILE.subarray(asked.start, asked.start + 1),
        }),
      ),
    )
    const source = await open(server.url)
    await expect(readAt(source, AT, 10)).rejects.toThrow(/ends after 1 of 8 bytes \(tried 3 times/)
  })

  test('nobody listens', async () => {
    await expect(open('http://127.0.0.1:1/image.osimg')).rejects.toMatchObject({
      code: 'network',
      message:
        'reading http://127.0.0.1:1/image.osimg at byte 0: connection refused (tried 3 times)',
    })
  })

  test('silence', async () => {
    const server = await serve(() => true)
    const limits = { ...QUICK, idleMs: 20, attemptsOpening: 2 }
    await expect(open(server.url, { limits })).rejects.toThrow(
      /the server sends nothing for 0.02 s \(tried 2 times\)$/,
    )
  })

  test('a trickle', async () => {
    const server = await serve((asked, response) => {
      response.writeHead(206, {
        'content-range': `bytes ${asked.start}-${asked.end - 1}/${FILE.length}`,
        etag: ETAG,
      })
      const timer = setInterval(() => response.write('x'), 2)
      response.on('close', () => clearInterval(timer))
      return true
    })
    const limits = { ...QUICK, rateWindowMs: 30, rateBytesPerSecond: 1e9, attemptsOpening: 2 }
    await expect(open(server.url, { limits })).rejects.toThrow(/too slow: \d+ bytes a second/)
  })
})

describe('redirects', () => {
  const to =
    (location: (asked: Asked) => string | undefined): Spoil =>
    (asked, response) => {
      const where = location(asked)
      if (where === undefined) return undefined
      response.writeHead(302, where === '' ? {} : { location: where }).end()
      return true
    }

  test('are followed, and remembered', async () => {
    const server = await serve(to(({ path }) => (path === '/image.osimg' ? '/mirror' : undefined)))
    expect(await readAt(await open(server.url), AT, 100_000)).toEqual(WANTED)
    expect(server.asked.map(({ path }) => path)).toEqual(['/image.osimg', '/mirror', '/mirror'])
  })

  test('five, not six', async () => {
    const chain = (length: number): Spoil =>
      to(({ number }) => (number < length ? `/${number + 1}` : undefined))
    expect((await open((await serve(chain(5))).url)).bytes).toBe(FILE.length)
    const endless = await serve(chain(1_000))
    await expect(open(endless.url)).rejects.toThrow(/at byte 0: more than 5 redirects$/)
    expect(endless.asked).toHaveLength(6)
  })

  test.each([
    ['nowhere', '', /redirects to nowhere$/],
    ['no address', 'http://[', /redirects to no address$/],
    ['a file', 'file:///etc/shadow', /redirects to file:/],
    ['a password', 'http://user:secret@127.0.0.1/', /redirects to a password at http:\/\/127/],
  ])('to %s', async (_, where, message) => {
    await expect(open((await serve(to(() => where))).url)).rejects.toThrow(message)
  })

  test('an address that expired is asked for anew', async () => {
    const server = await serve((asked, response) => {
      if (asked.path === '/image.osimg') {
        response.writeHead(307, { location: `/signed-${asked.number}` }).end()
        return true
      }
      if (asked.path === '/signed-0' && asked.number > 1) {
        return sendGood(asked, response, { status: 403 })
      }
      return undefined
    })
    expect(await readAt(await open(server.url), AT, 100_000)).toEqual(WANTED)
    expect(server.asked.map(({ path }) => path)).toEqual([
      '/image.osimg',
      '/signed-0',
      '/signed-0',
      '/image.osimg',
      '/signed-3',
    ])
  })

  test('the host that failed is named, not only the one that was asked', async () => {
    const other = await serve((asked, response) => sendGood(asked, response, { status: 404 }))
    const server = await serve(to(() => other.url))
    await expect(open(server.url)).rejects.toMatchObject({
      message: `reading ${server.url} from ${other.host} at byte 0: the server answers 404`,
      data: { host: other.host },
    })
  })
})

describe('https', () => {
  async function certificate(): Promise<{ key: string; cert: string }> {
    await using scratch = await makeScratch('tls')
    const [key, cert] = [join(scratch.path, 'key'), join(scratch.path, 'cert')]
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    const name = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1']
    await run(['openssl', 'req', '-x509', ...kind, ...name, '-keyout', key, '-out', cert])
    return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') }
  }

  test('reads with a certificate that is believed, and with no other', async () => {
    const tls = await certificate()
    const server = await serve(good, { tls })
    expect(await readAt(await open(server.url, { ca: tls.cert }), AT, 100_000)).toEqual(WANTED)
    await expect(open(server.url)).rejects.toMatchObject({
      code: 'network',
      message: expect.stringMatching(
        /its certificate is not believed: DEPTH_ZERO_SELF_SIGNED_CERT$/,
      ),
      data: { attempts: 1 },
    })
  })

  test('never leads to http, in no step', async () => {
    const tls = await certificate()
    const plain = await serve(good)
    const server = await serve(
      ({ number }, response) => {
        response.writeHead(301, { location: number === 0 ? '/second' : plain.url }).end()
        return true
      },
      { tls },
    )
    await expect(open(server.url, { ca: tls.cert })).rejects.toThrow(
      `the server redirects from https to ${plain.url}`,
    )
    expect(plain.asked).toEqual([])
  })
})

describe('cancelling', () => {
  test.each(['before opening', 'while opening', 'while reading', 'while waiting'])(
    '%s',
    async (when) => {
      const stop = new AbortController()
      if (when === 'before opening') stop.abort()
      const server = await serve((asked, response) => {
        if (asked.number === 0 && when !== 'while opening') return undefined
        if (when === 'while waiting') sendGood(asked, response, { status: 503 })
        stop.abort()
        return true
      })
      const limits = { ...QUICK, backoffFirstMs: 1e9, backoffMostMs: 1e9 }
      const reading = open(server.url, { signal: stop.signal, limits }).then((source) =>
        readAt(source, AT, 10),
      )
      await expect(reading).rejects.toMatchObject({ code: 'cancelled' })
    },
  )

  test('a closed source reads no more', async () => {
    const source = await openHttpSource((await serve(good)).url)
    await source[Symbol.asyncDispose]()
    await expect(readAt(source, AT, 10)).rejects.toMatchObject({ code: 'cancelled' })
  })
})

test.each([
  ['no address', 'http://', /not an http or https address$/],
  ['another scheme', 'ftp://host/x', /not an http or https address$/],
  [
    'a password',
    'http://me:secret@host/x',
    /^opening http:\/\/host\/x: a password in the address$/,
  ],
])('refused: %s', async (_, address, message) => {
  await expect(open(address)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(message),
  })
})

test('pauses double up to the most, keep to the wish of the server, and differ by half', () => {
  const limits = { backoffFirstMs: 1_000, backoffMostMs: 300_000 }
  const pauses = (random: number) =>
    [1, 2, 3, 9, 10, 40].map((failures) => pauseMs({ failures, fault: {}, limits, random }))
  expect(pauses(1)).toEqual([1_000, 2_000, 4_000, 256_000, 300_000, 300_000])
  expect(pauses(0)).toEqual([500, 1_000, 2_000, 128_000, 150_000, 150_000])
  const wished = (afterMs: number) =>
    pauseMs({ failures: 1, fault: { afterMs }, limits, random: 1 })
  expect([wished(0), wished(20_000), wished(9e9)]).toEqual([0, 20_000, 300_000])
})
