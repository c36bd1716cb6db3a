/** `--notify`: a real server is told each state, and can neither fail nor delay the run. */
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/events.ts'
import { makeNotifier } from '../../src/flash/notify.ts'
import { shownNotify } from '../../src/flash/plan/plan.ts'
import type { JournalRecord, State } from '../../src/flash/states.ts'
import { flashPlan } from './flash-plan.ts'
import { accept, listen } from './listener.ts'

const LIMITS = { timeoutMs: 5_000, retryAfterMs: 1, waitMs: 60_000 }

function record(state: State, sequence = 7, error?: string): JournalRecord {
  return {
    format: 'osflash-journal/1',
    sequence,
    state,
    system: 'rescue',
    since: '2026-11-22T22:00:00.000Z',
    bootId: 'a-boot',
    planDigest: 'ab'.repeat(32),
    attempts: { flash: 1, trial: 0 },
    ...(error === undefined ? {} : { error }),
  }
}

function notifier(notify: string | undefined, limits = LIMITS) {
  const events: ProgressEvent[] = []
  const { notify: _, ...plan } = flashPlan()
  const given = notify === undefined ? plan : { ...plan, notify }
  const tell = makeNotifier(given, (event) => events.push(event), limits)
  return { tell, hostname: plan.host.hostname, notes: () => events }
}

test('nobody is told where the address was erased', async () => {
  const { address, requests } = await listen(accept)
  const { tell, notes } = notifier(shownNotify(address))
  await tell(record('held', 9))
  expect(requests).toEqual([])
  expect(notes()).toEqual([])
})

test('posts what an operator needs, and nothing else', async () => {
  const { address, bodies, requests } = await listen(accept)
  const { tell, hostname, notes } = notifier(address)
  await tell(record('held', 9, 'writing /dev/vda at byte 0: input/output error'))
  expect(JSON.parse(bodies[0] ?? '')).toEqual({
    format: 'osflash-state/1',
    host: hostname,
    state: 'held',
    system: 'rescue',
    since: '2026-11-22T22:00:00.000Z',
    planDigest: 'ab'.repeat(32),
    sequence: 9,
    error: 'writing /dev/vda at byte 0: input/output error',
  })
  expect(requests[0]).toMatchObject({
    method: 'POST',
    url: '/hook/very-secret',
    headers: { 'content-type': 'application/json' },
  })
  expect(notes()).toEqual([])
})

test('states arrive in their order, each once', async () => {
  const { address, bodies } = await listen(accept)
  const { tell } = notifier(address)
  const states: State[] = ['rehearsal', 'committed', 'wiped', 'flashing', 'body-complete', 'trial']
  for (const [sequence, state] of states.entries()) await tell(record(state, sequence))
  expect(bodies.map((body) => JSON.parse(body).state)).toEqual(states)
})

test('a state in the middle of a run is not waited for', async () => {
  const answers: ServerResponse[] = []
  const arrived = Promise.withResolvers<void>()
  const { address, bodies } = await listen((response) => {
    answers.push(response)
    arrived.resolve()
  })
  const { tell } = notifier(address)
  // Settles although nobody has answered, or ever will.
  await tell(record('committed'))
  await arrived.promise
  expect([bodies.length, answers[0]?.headersSent]).toEqual([1, false])
})

test.each<State>(['armed', 'trial', 'confirmed', 'held', 'aborted'])(
  '%s is told before the call settles: a reboot may follow',
  async (state) => {
    const { address, bodies } = await listen(accept)
    await notifier(address).tell(record(state))
    expect(bodies).toHaveLength(1)
  },
)

test('before a reboot it waits for so long and no longer', async () => {
  const { address } = await listen(() => undefined)
  await notifier(address, { ...LIMITS, waitMs: 20 }).tell(record('trial'))
})

test('tries twice', async () => {
  const { address, bodies } = await listen((response, number) => {
    response.writeHead(number === 0 ? 503 : 200).end('thanks')
  })
  const { tell, notes } = notifier(address)
  await tell(record('held'))
  expect([bodies.length, bodies[0] === bodies[1], notes()]).toEqual([2, true, []])
})

test('what fails twice is noted with the host alone, and the next state is told', async () => {
  const { address, host, bodies } = await listen((response, number) => {
    response.writeHead(number < 2 ? 500 : 204).end()
  })
  const { tell, notes } = notifier(address)
  await tell(record('trial'))
  await tell(record('held'))
  expect(bodies).toHaveLength(3)
  expect(notes()).toEqual([{ event: 'note', text: `notifying ${host}: it answers 500` }])
})

test('a redirect is not followed: who gets the states was said by the operator', async () => {
  const other = await listen(accept)
  const { address, host } = await listen((response) => {
    response.writeHead(307, { location: other.address }).end()
  })
  const { tell, notes } = notifier(address)
  await tell(record('held'))
  expect(other.bodies).toEqual([])
  expect(notes()).toEqual([{ event: 'note', text: `notifying ${host}: it answers 307` }])
})

test('silence ends with the timeout', async () => {
  const { address, host } = await listen(() => undefined)
  const { tell, notes } = notifier(address, { ...LIMITS, timeoutMs: 20 })
  await tell(record('held'))
  const text = `notifying ${host}: no answer within 0.02 s`
  expect(notes()).toEqual([{ event: 'note', text }])
})

test('an answer without an end is not read', async () => {
  const { address } = await listen((response) => {
    response.writeHead(200)
    const write = (): boolean => response.write('x'.repeat(65_536))
    response.on('drain', write)
    write()
  })
  const { tell, notes } = notifier(address)
  await tell(record('held'))
  expect(notes()).toEqual([])
})

test.each([
  ['nobody listens', 'http://127.0.0.1:1/hook/very-secret', 'notifying 127.0.0.1:1: '],
  ['no address', 'very-secret', 'notifying an address that is none: '],
])('%s: noted without what may be a token', async (_, address, text) => {
  const { tell, notes } = notifier(address)
  await tell(record('held'))
  expect(notes()).toEqual([{ event: 'note', text: expect.stringContaining(text) }])
  expect(JSON.stringify(notes())).not.toContain('very-secret')
})

test('without an address nothing is sent', async () => {
  const { tell, notes } = notifier(undefined)
  await tell(record('held'))
  expect(notes()).toEqual([])
})
