import { expect, test } from 'vitest'
import {
  addressesOf,
  IP_SCHEMAS,
  readIpJson,
  usableAddresses,
} from '../../../src/flash/carry/ip-json.ts'
import { isLoopback, prefixHolds } from '../../../src/flash/carry/ip-prefix.ts'
import { address6, factsOf } from './ip-facts.ts'

test('what newer iproute2 adds is ignored, and nothing at all is an empty list', () => {
  const json = '[{"dst":"default","gateway":"192.0.2.1","dev":"ens3","flags":[],"new":{"a":1}}]'
  expect(readIpJson(IP_SCHEMAS.routes, json)).toEqual([
    { dst: 'default', gateway: '192.0.2.1', dev: 'ens3', flags: [] },
  ])
  expect(readIpJson(IP_SCHEMAS.neighbours, '')).toEqual([])
})

test.each(['{"ifname":"ens3"}', 'Usage: ip', '[{"dst":7}]'])('no answer of ip: %s', (json) => {
  expect(() => readIpJson(IP_SCHEMAS.routes, json)).toThrowError(
    expect.objectContaining({ code: 'format' }),
  )
})

test('entries that a filter emptied are no addresses', () => {
  const { state } = factsOf()
  const emptied = [{ ifname: 'ens3', addr_info: [{}] }, {}]
  expect(addressesOf({ ...state, addresses: emptied }, 'ens3')).toEqual([])
})

test("an address that is another host's, or may be, does not answer", () => {
  const list = [
    address6('2001:db8::1', { tentative: true }),
    address6('2001:db8::2', { dadfailed: true, tentative: true }),
    address6('2001:db8::3'),
  ]
  const { state } = factsOf({ addresses: { ens3: list } })
  expect(usableAddresses(state, 'ens3')).toEqual(['2001:db8::3'])
})

test.each([
  ['192.0.2.10/24', '192.0.2.1', true],
  ['192.0.2.10/24', '192.0.3.1', false],
  ['2001:db8::10/64', '2001:db8::ffff', true],
  ['2001:db8::10/64', '192.0.2.1', false],
  ['fe80::/10', 'fe80::1%ens3', true],
  ['0.0.0.0/0', '192.0.2.1', true],
  ['nonsense', '192.0.2.1', false],
])('%s holds %s: %s', (prefix, address, holds) => {
  expect(prefixHolds(prefix, address)).toBe(holds)
})

test('a stub listens on the host itself', () => {
  expect(['127.0.0.53', '::1', '192.0.2.1'].map(isLoopback)).toEqual([true, true, false])
})
