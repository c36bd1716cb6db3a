import { expect, test } from 'vitest'
import { joinPath } from '../../../src/pack/recipe/document.ts'
import { recipeSchema } from '../../../src/pack/recipe/schema.ts'

const SERVER = { name: 'a', source: { directory: '/tree' } }

function refusals(more: Readonly<Record<string, unknown>>): string[] {
  const result = recipeSchema.safeParse({ ...SERVER, ...more })
  if (result.success) return []
  const paths = result.error.issues.map(({ path }) => path.map(String).reduce(joinPath, ''))
  return [...new Set(paths)]
}

const file = (more: object) => ({ customise: { files: [{ path: '/a', content: '', ...more }] } })
const user = (more: object) => ({ customise: { users: [{ name: 'ada', ...more }] } })
const debian = (more: object) => ({ source: { debian: { suite: 'trixie', ...more } } })
const partition = (more: object) => ({ disk: { partitions: [{ role: 'root', ...more }] } })

test.each<readonly [string, Readonly<Record<string, unknown>>]>([
  ['name', { name: 'Upper' }],
  ['name', { name: '' }],
  ['name', { name: '../a' }],
  ['name', { name: 'a'.repeat(64) }],
  ['sequence', { sequence: -1 }],
  ['sequence', { sequence: 1.5 }],
  ['sequence', { sequence: '1' }],
  ['sequence', { sequence: 2 ** 53 }],
  ['expires', { expires: 'tomorrow' }],
  ['expires', { expires: '2030-01-01' }],
  ['architecture', { architecture: 'i386' }],
  ['firmware.0', { firmware: ['coreboot'] }],
  ['firmware', { firmware: 'bios' }],
  ['os.family', { os: { family: 'plan9' } }],
  ['os.network', { os: { network: 'wicked' } }],
  ['source.debian.suite', debian({ suite: '--option' })],
  ['source.debian.suite', debian({ suite: 'a b' })],
  ['source.debian.variant', debian({ variant: 'tiny' })],
  ['source.debian.packages.0', debian({ packages: ['a,b'] })],
  ['source.debian.packages.0', debian({ packages: ['-option'] })],
  ['source.debian.components', debian({ components: [] })],
  ['access.root-authorized-keys.0', { access: { 'root-authorized-keys': ['a\nb'] } }],
  ['access.root-authorized-keys.0', { access: { 'root-authorized-keys': [''] } }],
  ['customise.hostname', { customise: { hostname: 'a b' } }],
  ['customise.hostname', { customise: { hostname: '-a' } }],
  ['customise.hostname', { customise: { hostname: 'a\nb' } }],
  ['customise.kernel-command-line', { customise: { 'kernel-command-line': 'a\nb' } }],
  ['customise.files.0.path', file({ path: 'etc/motd' })],
  ['customise.files.0.path', file({ path: '/etc/../motd' })],
  ['customise.files.0.path', file({ path: '/..' })],
  ['customise.files.0.path', file({ path: '/a\nb' })],
  ['customise.files.0.mode', file({ mode: '888' })],
  ['customise.files.0.mode', file({ mode: 644 })],
  ['customise.files.0.owner', file({ owner: 'a:b:c' })],
  ['customise.users.0.name', user({ name: 'Ada' })],
  ['customise.users.0.name', user({ name: 'a:b' })],
  ['customise.users.0.uid', user({ uid: -1 })],
  ['customise.users.0.uid', user({ uid: 2 ** 32 })],
  ['customise.users.0.password-hash', user({ 'password-hash': 'a:b' })],
  ['customise.users.0.password-hash', user({ 'password-hash': 'a\nroot::0' })],
  ['customise.users.0.shell', user({ shell: 'bash' })],
  ['customise.users.0.home', user({ home: '/home/../root' })],
  ['customise.users.0.groups.0', user({ groups: ['a:b'] })],
  ['customise.services.enable.0', { customise: { services: { enable: ['a b'] } } }],
  ['customise.services.disable.0', { customise: { services: { disable: ['../a'] } } }],
  ['disk.table', { disk: { table: 'apm' } }],
  ['disk.sector-size', { disk: { 'sector-size': 1024 } }],
  ['disk.size', { disk: { size: '4 GB' } }],
  ['disk.partitions', { disk: { partitions: [] } }],
  ['disk.partitions.0.role', partition({ role: 'home' })],
  ['disk.partitions.0.size', partition({ size: '10%' })],
  ['disk.partitions.0.size', partition({ size: 0 })],
  ['disk.partitions.0.file-system', partition({ 'file-system': 'ntfs' })],
  ['disk.partitions.0.label', partition({ label: 'a b' })],
  ['disk.partitions.0.name', partition({ name: '../a' })],
  ['disk.partitions.0.mount', partition({ mount: 'srv' })],
  ['disk.partitions.0.mount-options', partition({ 'mount-options': 'a b' })],
])('%s refuses %j', (path, more) => {
  expect(refusals(more)).toEqual([path])
})

test.each<Readonly<Record<string, unknown>>>([
  { expires: '2030-01-01T00:00:00Z' },
  { firmware: [] },
  debian({ packages: ['linux-image-amd64', 'g++', '?essential', 'libc6:amd64', 'a=1.2-3'] }),
  debian({ mirror: 'deb [trusted=yes] file:/repository trixie main', keyring: 'keys' }),
  debian({ mirror: ['a', 'b'], components: ['main', 'non-free-firmware'] }),
  { access: { 'root-authorized-keys': ['from="10.0.0.0/8" ssh-ed25519 AAAA a b'] } },
  { customise: { hostname: 'web1.example.org' } },
  file({ path: '/etc/a..b/..c', mode: '4755', owner: '0:65534' }),
  user({ uid: 0, 'password-hash': '$y$j9T$abc/./', shell: '/usr/sbin/nologin' }),
  { customise: { services: { enable: ['getty@tty1.service', 'dev-disk-by\\x2duuid.swap'] } } },
  partition({ size: '1536MiB', label: 'ROOT-1', mount: '/', 'mount-options': 'noatime,ro' }),
])('%j is accepted', (more) => {
  expect(refusals(more)).toEqual([])
})

test.each([
  ['', 'quux'],
  ['os', 'familly'],
  ['source', 'debain'],
  ['access', 'keys'],
  ['customise', 'users '],
  ['disk', 'sectorsize'],
])('unknown keys are refused in %o', (path, key) => {
  const more = path === '' ? { [key]: 1 } : { [path]: { [key]: 1 } }
  expect(refusals(more)).toContain(path)
})
