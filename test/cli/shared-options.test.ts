import { Command, InvalidArgumentError } from 'commander'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { integer, packingOptions, readingOptions, size } from '../../src/cli/shared-options.ts'
import { GIB, KIB, MIB } from '../../src/units.ts'

/** What commander makes of these words. */
function parse(options: (command: Command) => Command, argv: readonly string[]) {
  const command = options(new Command('x').exitOverride().configureOutput({ writeErr: () => {} }))
  return command.parse([...argv], { from: 'user' }).opts()
}

const pack = (...more: string[]) =>
  parse(packingOptions, ['-o', 'a', '--recipient', 'r', '--sign-with', 's', ...more])
const read = (...argv: string[]) => parse(readingOptions, argv)

test('an integer in its range is itself', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer(), fc.integer(), (one, two, three) => {
      const [min = 0, value = 0, max = 0] = [one, two, three].sort((a, b) => a - b)
      expect(integer(min, max)(String(value))).toBe(value)
    }),
  )
})

test('an integer outside its range is refused, with the range', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), (beyond) => {
      expect(() => integer(-7, 22)(String(22 + beyond))).toThrow(InvalidArgumentError)
      expect(() => integer(-7, 22)(String(-7 - beyond))).toThrow(InvalidArgumentError)
    }),
  )
  expect(() => integer(1, 16)('17')).toThrow('must be a whole number from 1 to 16')
})

test.each(['', ' ', '1.5', '1e3', '0x10', '+3', '3 ', 'three', '--3', 'NaN', 'Infinity'])(
  '%j is no integer',
  (text) => {
    expect(() => integer(-1e9, 1e9)(text)).toThrow(InvalidArgumentError)
  },
)

test.each([
  ['1', 1],
  ['1B', 1],
  ['512MiB', 512 * MIB],
  ['10GiB', 10 * GIB],
  ['3KiB', 3 * KIB],
  ['2TiB', 2048 * GIB],
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
])('%s is a size of %i bytes', (text, bytes) => {
  expect(size(text)).toBe(bytes)
})

test.each(['', '0', '0GiB', '-1', '1.5GiB', '10 GiB', '10GB', '10G', 'GiB', '9007199254740992'])(
  '%j is no size',
  (text) => {
    expect(() => size(text)).toThrow('must be a size such as 10GiB or 512MiB')
  },
)

test('a size is its number times its unit', () => {
  const unit = fc.constantFrom(
    ['B', 1],
    ['KiB', KIB],
    ['MiB', MIB],
    ['GiB', GIB],
  ) satisfies fc.Arbitrary<readonly unknown[]>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), unit, (count, [name, bytes]) => {
      expect(size(`${count}${name}`)).toBe(count * Number(bytes))
    }),
  )
})

test('packing has defaults for all but whom and where', () => {
  expect(pack()).toEqual({
    output: 'a',
    recipient: ['r'],
    signWith: ['s'],
    codec: 'zstd',
    aead: 'ocb',
  })
})

test('several recipients and signers in one option or in several', () => {
  expect(pack('--recipient', 'r2', 'r3').recipient).toEqual(['r', 'r2', 'r3'])
  expect(pack('--sign-with', 's2', '--sign-with', 's3').signWith).toEqual(['s', 's2', 's3'])
})

test.each([
  [['--codec', 'xz'], { codec: 'xz' }],
  [['--aead', 'gcm'], { aead: 'gcm' }],
  [['--level', '-7'], { level: -7 }],
  [['--level', '22'], { level: 22 }],
  [['--workers', '1'], { workers: 1 }],
  [['--workers', '256'], { workers: 256 }],
  [['--force'], { force: true }],
])('packing takes %j', (argv, expected) => {
  expect(pack(...argv)).toMatchObject(expected)
})

test.each([
  [['--codec', 'gzip'], 'must be zstd or xz'],
  [['--codec', 'ZSTD'], 'must be zstd or xz'],
  [['--aead', 'eax'], 'must be ocb or gcm'],
  [['--level', '23'], 'must be a whole number from -7 to 22'],
  [['--level', '-8'], 'must be a whole number from -7 to 22'],
  [['--workers', '0'], 'must be a whole number from 1 to 256'],
  [['--workers', '257'], 'must be a whole number from 1 to 256'],
  [['--workers', 'all'], 'must be a whole number from 1 to 256'],
])('packing refuses %j', (argv, message) => {
  expect(() => pack(...argv)).toThrow(message)
})

test.each([
  [['--recipient', 'r', '--sign-with', 's'], '--output'],
  [['-o', 'a', '--sign-with', 's'], '--recipient'],
  [['-o', 'a', '--recipient', 'r'], '--sign-with'],
])('packing without an option that it needs: %j', (argv, missing) => {
  expect(() => parse(packingOptions, argv)).toThrow(missing)
})

test('reading has no defaults: nothing is believed unless said', () => {
  expect(read()).toEqual({})
})

test('reading takes whom to believe and with what to open', () => {
  const argv = ['--trust', 'a', 'b', '--threshold', '2', '--identity', 'k', '--workers', '3']
  expect(read(...argv, '--passphrase-file', 'p')).toEqual({
    trust: ['a', 'b'],
    threshold: 2,
    identity: ['k'],
    workers: 3,
    passphraseFile: 'p',
  })
  expect(read('--insecure-unsigned')).toEqual({ insecureUnsigned: true })
})

test.each(['0', '17', '1.5', 'both'])('a threshold of %s is refused', (text) => {
  expect(() => read('--trust', 'a', '--threshold', text)).toThrow('from 1 to 16')
})
