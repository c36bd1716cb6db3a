import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keyLines, keyOf, mergeKeys } from '../../../src/flash/carry/authorized-keys.ts'
import { withHostname } from '../../../src/flash/carry/hosts-file.ts'
import { carriedInterfaces } from '../../../src/flash/carry/interfaces.ts'
import { renderIfupdown } from '../../../src/flash/carry/render-ifupdown.ts'
import { renderNetworkd } from '../../../src/flash/carry/render-networkd.ts'
import { mergeHash, shadowLine } from '../../../src/flash/carry/shadow.ts'
import { staticCarry } from './host-root.ts'
import { address4, address6, factsOf, route } from './ip-facts.ts'

const octet = fc.integer({ min: 1, max: 254 })
const cidr4 = fc.tuple(octet, octet, fc.integer({ min: 8, max: 32 }))
const cidr6 = fc.tuple(octet, fc.integer({ min: 16, max: 128 }))

test('no address and no route of a static host is lost on the way into a file', () => {
  const host = fc.record({
    v4: fc.uniqueArray(cidr4, { minLength: 1, maxLength: 5, selector: ([a, b]) => `${a}.${b}` }),
    v6: fc.uniqueArray(cidr6, { maxLength: 5, selector: ([a]) => a }),
    gates: fc.uniqueArray(octet, { maxLength: 4 }),
  })
  fc.assert(
    fc.property(host, ({ v4, v6, gates }) => {
      const all4 = v4.map(([a, b, prefixlen]) => address4(`10.${a}.${b}.1`, { prefixlen }))
      const all6 = v6.map(([a, prefixlen]) =>
        address6(`2001:db8::${a.toString(16)}`, { prefixlen }),
      )
      const routes4 = gates.map((a) => route(`172.16.${a}.0/24`, { gateway: `10.${a}.0.9` }))
      const facts = factsOf({ addresses: { ens3: [...all4, ...all6] }, routes4 })
      const carry = staticCarry({ interfaces: carriedInterfaces(facts) })
      for (const render of [renderNetworkd, renderIfupdown]) {
        const text = render(carry)
          .map((file) => file.text)
          .join('\n')
        for (const { local, prefixlen } of [...all4, ...all6]) {
          expect(text).toMatch(new RegExp(`ddress[= ]${local}/${prefixlen}\n`))
        }
        for (const { dst, gateway } of routes4) {
          expect(text).toContain(dst)
          expect(text).toContain(String(gateway))
        }
      }
    }),
  )
})

const keyText = fc
  .array(fc.constantFrom('one', 'two', 'three', 'four'))
  .map((names) => names.map((name) => `ssh-ed25519 AAAA${name} ${name}\n`).join(''))

test('merging keys loses none, doubles none, and changes nothing the second time', () => {
  fc.assert(
    fc.property(keyText, keyText, (own, more) => {
      const merged = mergeKeys(own, more)
      const keys = (text: string) => new Set(keyLines(text).map(keyOf))
      expect(merged.startsWith(own)).toBe(true)
      expect(keys(merged)).toEqual(new Set([...keys(own), ...keys(more)]))
      expect(mergeKeys(merged, more)).toBe(merged)
    }),
  )
})

const account = fc.tuple(
  fc.constantFrom('root', 'daemon', 'roo', 'root2'),
  fc.stringMatching(/^[0-9a-f]*$/),
)

test('merging a hash changes the lines of its name alone', () => {
  fc.assert(
    fc.property(fc.array(account), (accounts) => {
      const text = accounts.map(([name, hash]) => `${name}:${hash}:1::::::\n`).join('')
      const merged = mergeHash(text, 'root:NEW:2::::::')
      const others = (whole: string) => whole.split('\n').filter((one) => !one.startsWith('root:'))
      expect(others(merged)).toEqual(others(text))
      const line = shadowLine(merged, 'root')
      if (line !== undefined) expect(line).toBe('root:NEW:1::::::')
    }),
  )
})

test('naming the host twice is naming it once', () => {
  const line = fc.constantFrom('127.0.0.1 localhost', '127.0.1.1 old', '::1 ip6', '', '# remark')
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const once = withHostname(`${lines.join('\n')}\n`, 'web1')
      expect(withHostname(once, 'web1')).toBe(once)
      expect(once.match(/^127\.0\.1\.1\s/gm)).toHaveLength(1)
    }),
  )
})
