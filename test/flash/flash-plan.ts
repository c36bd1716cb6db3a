/** A plan as preflight makes it, for tests that only need one. */
import type { DiskIdentity, FlashPlan, ImageFacts } from '../../src/flash/plan/plan.ts'
import { GIB, MIB } from '../../src/units.ts'

const disk = (serial: string, path: string): DiskIdentity => ({
  serial,
  bytes: 8 * GIB,
  sectorBytes: 512,
  path,
})

const image = (name: string): ImageFacts => ({
  location: `https://images.example/${name}.osimg`,
  name,
  title: name,
  sequence: 1,
  bytes: 300 * MIB,
  dataBytes: GIB,
  manifestSha256: 'c'.repeat(64),
  signers: ['d'.repeat(64)],
  start: { rootUuid: 'aa-bb', kernel: '/boot/vmlinuz-1', commandLine: 'root=UUID=aa-bb ro' },
  network: 'networkd',
  firmware: ['bios', 'uefi'],
})

export const flashPlan = (changes: Partial<FlashPlan> = {}): FlashPlan => ({
  format: 'osflash-plan/1',
  host: {
    hostname: 'web-1',
    os: 'Debian GNU/Linux 12 (bookworm)',
    firmware: 'bios',
    architecture: 'x86_64',
    kernelModules: ['virtio_blk', 'virtio_net'],
  },
  disk: disk('DISK-1', '/dev/vda'),
  stage: disk('STAGE-1', '/dev/vdb'),
  victims: [],
  rescue: image('rescue'),
  target: image('debian-13'),
  store: { offset: GIB, bytes: 4 * GIB },
  arm: { kind: 'grub', folder: '/boot/grub' },
  go: { how: 'auto', withinSeconds: 900 },
  confirm: { how: 'auto', withinSeconds: 600 },
  carry: {
    hostname: 'web-1',
    interfaces: [],
    gateways: [],
    hostKeys: [],
    rootKeys: 1,
    hasRootPassword: false,
  },
  steps: [],
  awaySeconds: 300,
  risks: [],
  ...changes,
})
