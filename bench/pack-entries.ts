/**
 * The packing of the disk image; the result is flushed, and its size counts too.
 */
import type { Entry } from './entry.ts'
import { GPG, SEALING, sameBytes } from './words.ts'

const ZSTD = 'zstd -cq -T$WORKERS -$LEVEL disk.img'

export const packEntries: readonly Entry[] = [
  {
    name: 'osflash-pack',
    group: 'pack',
    kind: 'osflash',
    title: 'osflash pack, sealed, signed, digests',
    needs: [],
    reads: 'disk.img',
    run: `$OSFLASH pack disk.img -o out.osimg ${SEALING} --level $LEVEL --workers $WORKERS`,
    check:
      '$OSFLASH unpack out.osimg --to out.img --trust keys/signer.pub' +
      ` --identity keys/recipient.key && ${sameBytes('disk.img', 'out.img')}`,
    output: 'out.osimg',
  },
  {
    name: 'zstd-pack',
    group: 'pack',
    kind: 'peer',
    title: 'zstd, as many threads (no encryption)',
    needs: ['zstd'],
    reads: 'disk.img',
    run: `${ZSTD} > out.zst && sync out.zst`,
    check: 'zstd -dcq out.zst | cmp - disk.img',
    output: 'out.zst',
  },
  {
    name: 'zstd-gpg-pack',
    group: 'pack',
    kind: 'peer',
    title: 'zstd, as many threads | gpg -c',
    needs: ['zstd', 'gpg'],
    reads: 'disk.img',
    run:
      `${ZSTD} | ${GPG} --compress-algo none --cipher-algo AES256 -c -o out.zst.gpg` +
      ' && sync out.zst.gpg',
    check: `${GPG} -d out.zst.gpg | zstd -dcq | cmp - disk.img`,
    output: 'out.zst.gpg',
  },
]
