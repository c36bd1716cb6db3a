/** What is tried again, how often, and where redirects may lead. */
import { describe, expect, test } from 'vitest'
import { pauseMs } from '../../src/deliver/http.ts'
import { type Asked, ETAG, FILE, type Spoil, sendGood, serve } from './hostile-server.ts'
import { AT, behindFront, open, QUICK, readAt, WANTED } from './reading.ts'

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
