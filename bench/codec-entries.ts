/**
 * Which codec, which level: packed once, decoded in every round, on a smaller image.
 *
 * 1. `codec.img` is an ext4 image of a part of the sample (`codec.list`).
 * 2. Packing is `osflash pack` as a whole; decoding is the engine alone, nothing written.
 */
import { type Entry, type MadeFile, secondsPrinted } from './entry.ts'
import { CODEC_SAMPLE } from './input.ts'
import { decodeAlone, READING, SEALING, sameBytes } from './words.ts'

const image: MadeFile = {
  file: 'codec.img',
  command:
    'mkdir codec && tar -C / -c --null -T codec.list --mtime=@0 | tar -x -C codec' +
    ` && mke2fs -q -t ext4 -d codec codec.img ${CODEC_SAMPLE.diskMib}M`,
}

interface Choice {
  readonly name: string
  readonly options: string
}

const choices: readonly Choice[] = [
  ...[1, 3, 9, 19].map((level) => ({
    name: `zstd-${level}`,
    options: `--codec zstd --level ${level}`,
  })),
  { name: 'xz-6', options: '--codec xz' },
]

const packInto = (output: string, { options }: Choice): string =>
  `$OSFLASH pack codec.img -o ${output} ${SEALING} ${options} --workers $WORKERS`

export const codecEntries: readonly Entry[] = choices.flatMap((choice): Entry[] => [
  {
    name: `pack-${choice.name}`,
    group: 'codec',
    kind: 'osflash',
    title: `osflash pack, ${choice.name}`,
    needs: [],
    inputs: [image],
    reads: 'codec.img',
    run: packInto('out.osimg', choice),
    check:
      `$OSFLASH unpack out.osimg --to out.img ${READING}` +
      ` && ${sameBytes('codec.img', 'out.img')}`,
    output: 'out.osimg',
    widest: true,
    once: true,
  },
  {
    name: `decode-${choice.name}`,
    group: 'codec',
    kind: 'osflash',
    title: `the engine alone, ${choice.name}`,
    needs: [],
    inputs: [
      image,
      {
        file: `codec.${choice.name}.osimg`,
        command: packInto(`codec.${choice.name}.osimg`, choice),
      },
    ],
    reads: `codec.${choice.name}.osimg`,
    run: decodeAlone(`codec.${choice.name}.osimg`),
    took: secondsPrinted,
    widest: true,
  },
])
