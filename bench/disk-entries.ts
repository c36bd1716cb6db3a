/**
 * The unpacking of a disk image: ceilings, osflash, and what people use today.
 *
 * 1. Targets are new for every run: a file that is allocated but never written, or no file.
 * 2. Peers get one zstd stream of the same image at the same level, sealed by their own tool.
 * 3. `sq`, `gosop` and `rsop` open our own segments; they are left out where they know no SEIPDv2.
 */
import { type Entry, type MadeFile, secondsPrinted } from './entry.ts'
import { decodeAlone, GPG, READING, sameBytes } from './words.ts'

const EQUAL = sameBytes('disk.img', 'out.img')
const ALLOCATED = 'fallocate -l $DISK_BYTES out.img && sync -f .'
const TO_DISK = 'dd of=out.img bs=4M iflag=fullblock'
const DIRECT = `${TO_DISK} oflag=direct conv=notrunc,fsync status=none`
const SPARSE = `${TO_DISK} conv=sparse,fsync status=none`
const OPENSSL = '-aes-256-ctr -pbkdf2 -pass file:secret'

const zst: MadeFile = { file: 'disk.zst', command: 'zstd -q -T0 -$LEVEL disk.img -o disk.zst' }
const gpgFile: MadeFile = {
  file: 'disk.zst.gpg',
  command: `${GPG} --compress-algo none --cipher-algo AES256 -c -o disk.zst.gpg disk.zst`,
}
const ageKey: MadeFile = { file: 'age.key', command: 'age-keygen -o age.key' }
const ageFile: MadeFile = {
  file: 'disk.zst.age',
  command: 'age -r "$(age-keygen -y age.key)" -o disk.zst.age disk.zst',
}
const opensslFile: MadeFile = {
  file: 'disk.zst.enc',
  command: `openssl enc -e ${OPENSSL} -in disk.zst -out disk.zst.enc`,
}
const bmap: MadeFile = { file: 'disk.bmap', command: 'bmaptool create -o disk.bmap disk.img' }
const qcow2: MadeFile = {
  file: 'disk.qcow2',
  command: 'qemu-img convert -O qcow2 -c -o compression_type=zstd disk.img disk.qcow2',
}
export const frames: MadeFile = {
  file: 'frames.0.zst',
  command: 'node $BENCH/cut-frames.ts disk.osimg disk.img $FRAME_FILES $LEVEL',
}
/** The sealed members as files, as OpenPGP tools take them. */
const members: MadeFile = {
  file: 'members/keys.pgp',
  command: 'mkdir -p members && tar -xf disk.osimg -C members',
}

const ceilings: readonly Entry[] = [
  {
    name: 'write',
    group: 'disk',
    kind: 'ceiling',
    title: 'write ceiling: fio, 4 MiB, direct, depth 8',
    needs: ['fio', 'jq'],
    reads: '',
    main: true,
    before: ALLOCATED,
    run:
      'fio --name=write --filename=out.img --rw=write --bs=4m --direct=1 --ioengine=libaio' +
      ' --iodepth=8 --size=$MAPPED_BYTES --fallocate=none --end_fsync=1 --output-format=json' +
      " | jq '.jobs[0].job_runtime / 1000'",
    took: secondsPrinted,
  },
  {
    name: 'decode',
    group: 'disk',
    kind: 'ceiling',
    title: 'decode ceiling: the engine alone, nothing written',
    needs: [],
    reads: 'disk.osimg',
    main: true,
    run: decodeAlone('disk.osimg'),
    took: secondsPrinted,
  },
  {
    name: 'zstd-t',
    group: 'disk',
    kind: 'ceiling',
    title: 'zstd -t, one for each worker, same frames',
    needs: ['zstd', 'xargs'],
    reads: 'frames.*',
    main: true,
    inputs: [frames],
    run: 'ls frames.*.zst | xargs -P $WORKERS -n 1 zstd -tq',
  },
]

const ours: readonly Entry[] = [
  {
    name: 'osflash-file',
    group: 'disk',
    kind: 'osflash',
    title: 'osflash unpack --force, allocated file, direct',
    needs: [],
    reads: 'disk.osimg',
    main: true,
    before: ALLOCATED,
    run: `$OSFLASH unpack disk.osimg --to out.img --force ${READING}`,
    check: EQUAL,
  },
  {
    name: 'osflash-new',
    group: 'disk',
    kind: 'osflash',
    title: 'osflash unpack, new sparse file, direct',
    needs: [],
    reads: 'disk.osimg',
    main: true,
    run: `$OSFLASH unpack disk.osimg --to out.img ${READING}`,
    check: EQUAL,
  },
  {
    name: 'osflash-read-back',
    group: 'disk',
    kind: 'osflash',
    title: 'osflash unpack --verify, allocated file',
    needs: [],
    reads: 'disk.osimg',
    before: ALLOCATED,
    run: `$OSFLASH unpack disk.osimg --to out.img --force --verify ${READING}`,
    check: EQUAL,
  },
  {
    name: 'osflash-device',
    group: 'disk',
    kind: 'osflash',
    title: 'osflash unpack, block device (loop, direct)',
    needs: ['losetup'],
    reads: 'disk.osimg',
    probe:
      'truncate -s 1M out.img && device=$(losetup --direct-io=on -f --show out.img)' +
      ' && losetup -d $device; rm out.img; [ -n "$device" ]',
    before: `${ALLOCATED} && losetup --direct-io=on -f --show out.img > out.device`,
    run: `$OSFLASH unpack disk.osimg --to $(cat out.device) ${READING} --checkpoint out.checkpoint`,
    check: EQUAL,
    after: 'losetup -d $(cat out.device)',
  },
  {
    name: 'osflash-verify',
    group: 'disk',
    kind: 'osflash',
    title: 'osflash verify --identity (reads twice)',
    needs: [],
    reads: 'disk.osimg',
    run: `$OSFLASH verify disk.osimg ${READING}`,
  },
]

const sealedPeers: readonly Entry[] = [
  {
    name: 'gpg-direct',
    group: 'disk',
    kind: 'peer',
    title: 'gpg -d | zstd -dc | dd oflag=direct',
    needs: ['gpg', 'zstd', 'dd'],
    reads: 'disk.zst.gpg',
    main: true,
    inputs: [zst, gpgFile],
    before: ALLOCATED,
    run: `${GPG} -d disk.zst.gpg | zstd -dcq | ${DIRECT}`,
    check: EQUAL,
  },
  {
    name: 'gpg-buffered',
    group: 'disk',
    kind: 'peer',
    title: 'gpg -d | zstd -dc | dd, buffered, fsync',
    needs: ['gpg', 'zstd', 'dd'],
    reads: 'disk.zst.gpg',
    inputs: [zst, gpgFile],
    before: ALLOCATED,
    run: `${GPG} -d disk.zst.gpg | zstd -dcq | ${TO_DISK} conv=notrunc,fsync status=none`,
    check: EQUAL,
  },
  {
    name: 'age',
    group: 'disk',
    kind: 'peer',
    title: 'age -d | zstd -dc | dd conv=sparse',
    needs: ['age', 'age-keygen', 'zstd', 'dd'],
    reads: 'disk.zst.age',
    inputs: [zst, ageKey, ageFile],
    run: `age -d -i age.key disk.zst.age | zstd -dcq | ${SPARSE}`,
    check: EQUAL,
  },
  {
    name: 'openssl',
    group: 'disk',
    kind: 'peer',
    title: 'openssl enc -d | zstd -dc | dd oflag=direct',
    needs: ['openssl', 'zstd', 'dd'],
    reads: 'disk.zst.enc',
    inputs: [zst, opensslFile],
    before: ALLOCATED,
    run: `openssl enc -d ${OPENSSL} -in disk.zst.enc | zstd -dcq | ${DIRECT}`,
    check: EQUAL,
  },
]

const openPeers: readonly Entry[] = [
  {
    name: 'bmaptool',
    group: 'disk',
    kind: 'peer',
    title: 'bmaptool copy (no decryption)',
    needs: ['bmaptool', 'zstd'],
    reads: 'disk.zst',
    main: true,
    inputs: [zst, bmap],
    run: 'bmaptool --quiet copy --bmap disk.bmap disk.zst out.img && sync out.img',
    check: EQUAL,
  },
  {
    name: 'qemu-img',
    group: 'disk',
    kind: 'peer',
    title: 'qemu-img convert, zstd qcow2 (no decryption)',
    needs: ['qemu-img'],
    reads: 'disk.qcow2',
    main: true,
    inputs: [qcow2],
    run: 'qemu-img convert -W -m 8 -t none -O raw disk.qcow2 out.img && sync out.img',
    check: EQUAL,
  },
]

const referees: readonly Entry[] = [
  ['sq', 'sq decrypt --recipient-file keys/recipient.key'],
  ['gosop', 'gosop decrypt keys/recipient.key'],
  ['rsop', 'rsop decrypt keys/recipient.key'],
].map(([name = '', decrypt]) => ({
  name,
  group: 'disk',
  kind: 'peer',
  title: `${name} decrypt | zstd -dc, nothing written`,
  needs: [name, 'zstd'],
  reads: 'members/payloads/*',
  inputs: [members],
  run:
    'for segment in members/payloads/*.zst.pgp; do' +
    ` cat members/keys.pgp $segment | ${decrypt} | zstd -dcq > /dev/null; done`,
}))

export const diskEntries: readonly Entry[] = [
  ...ceilings,
  ...ours,
  ...sealedPeers,
  ...openPeers,
  ...referees,
]
