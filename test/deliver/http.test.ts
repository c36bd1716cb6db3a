/** Reading over HTTP from a good server: ranges, turns, addresses, cancelling. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openHttpSource } from '../../src/deliver/http.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { FILE, sendGood, serve } from './hostile-server.ts'
import { AT, behindFront, good, open, QUICK, readAt, WANTED } from './reading.ts'

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
        for (const [i, { start, end }] of ranges.entries()) {
          expect(Buffer.compare(read[i] ?? Buffer.of(), FILE.subarray(start, end))).toBe(0)
        }
      }),
      { numRuns: 15 },
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

  test('nothing is asked any more once it was cancelled', async () => {
    const stop = new AbortController()
    let started = 0
    const all = Promise.withResolvers<void>()
    const server = await serve(
      behindFront(() => {
        started += 1
        if (started === 8) all.resolve()
        return true
      }),
    )
    const source = await open(server.url, { signal: stop.signal })
    const reads = Array.from({ length: 12 }, (_, i) => readAt(source, AT + i, 10))
    const settled = Promise.allSettled(reads)
    await all.promise
    stop.abort()
    const codes = (await settled).map((one) => one.status === 'rejected' && one.reason.code)
    expect(codes).toEqual(Array.from({ length: 12 }, () => 'cancelled'))
    expect(server.asked).toHaveLength(1 + 8)
  })

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
