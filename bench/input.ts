/**
 * The input of a bench: real files in a sparse ext4 image, made from what is installed here.
 *
 * 1. Files of /usr in the order of the SHA-256 of their paths, until the wanted bytes are
 *    reached: a fair sample, and the same one on the same installation.
 * 2. `tree` holds copies; `mke2fs -d` makes `disk.img` from them, with fixed identifiers.
 * 3. Keys of osflash; `disk.osimg` is packed from the image.
 * 4. Lists of files for inputs that not every bench needs: small files only, and a part.
 *
 * Not promised: the same input on another machine. Compare ratios, never rates of two machines.
 */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { run } from '../src/system/run.ts'
import { GIB, MIB } from '../src/units.ts'
import { type Shell, shell } from './measure.ts'
import { SEALING } from './words.ts'

const SAMPLED = '/usr'
const FIXED_ID = '6f73666c-6173-4862-a265-6e6368000001'

/** How much is asked for; a small /usr gives less. */
export const SIZES = {
  floor: { diskBytes: GIB, fileBytes: 500_000_000 },
  small: { diskBytes: 2 * GIB, fileBytes: 1_000_000_000 },
  large: { diskBytes: 8 * GIB, fileBytes: 3_700_000_000 },
} as const

/** The part that is packed with every codec. */
export const CODEC_SAMPLE = { diskMib: 512, fileBytes: 250_000_000 } as const

/** How many small files, and how small; fewer where not so many are installed. */
const SMALL = { files: 60_000, maxBytes: 128 * 1024 } as const

/** What the rates are counted in. */
export interface Input {
  readonly diskBytes: number
  /** Bytes of the disk image that are data, not zeros. */
  readonly mappedBytes: number
  readonly files: number
  /** Bytes in the files of the tree. */
  readonly fileBytes: number
  /** The tree of small files. */
  readonly smallFiles: number
  readonly smallFileBytes: number
  readonly codecFileBytes: number
  readonly imageBytes: number
}

interface SampledFile {
  readonly path: string
  readonly bytes: number
}

/** Fills `into.folder`; `into.env` must hold OSFLASH, LEVEL and WORKERS. */
export async function buildInput(size: keyof typeof SIZES, into: Shell): Promise<Input> {
  const { diskBytes, fileBytes } = SIZES[size]
  const installed = await listFiles(into)
  const files = sample(installed, fileBytes)
  const small = sample(installed.filter(isSmall), Number.POSITIVE_INFINITY).slice(0, SMALL.files)
  const codec = sample(files, CODEC_SAMPLE.fileBytes)
  for (const [name, list] of Object.entries({ tree: files, small, codec })) {
    const lines = list.map(({ path }) => `${path.slice(1)}\0`)
    await writeFile(join(into.folder, `${name}.list`), lines.join(''))
  }
  await writeFile(join(into.folder, 'secret'), 'not a secret: this is a bench\n', { mode: 0o600 })
  await mkdir(join(into.folder, 'gpg'), { mode: 0o700 })
  await makeDisk(into, diskBytes)
  const { payloads, imageBytes } = await inspect(into, 'disk.osimg')
  return {
    diskBytes,
    mappedBytes: payloads.reduce((sum, { dataBytes }) => sum + dataBytes, 0),
    files: files.length,
    fileBytes: bytesOf(files),
    smallFiles: small.length,
    smallFileBytes: bytesOf(small),
    codecFileBytes: bytesOf(codec),
    imageBytes,
  }
}

async function makeDisk(into: Shell, diskBytes: number): Promise<void> {
  await shell(into, 'mkdir tree && tar -C / -c --null -T tree.list --mtime=@0 | tar -x -C tree')
  await shell(into, 'find tree -type d -exec touch -d @0 {} +')
  const fixed = `-U ${FIXED_ID} -E hash_seed=${FIXED_ID}`
  await shell(into, `mke2fs -q -t ext4 ${fixed} -d tree disk.img ${diskBytes / MIB}M`)
  await shell(into, '$OSFLASH keygen --out keys --name bench')
  await shell(into, `$OSFLASH pack disk.img -o disk.osimg ${SEALING} --level $LEVEL`)
}

const isSmall = ({ bytes }: SampledFile): boolean => bytes <= SMALL.maxBytes

const bytesOf = (files: readonly SampledFile[]): number =>
  files.reduce((sum, { bytes }) => sum + bytes, 0)

/** Files in the order of the digest of their path, until `wanted` bytes are reached. */
export function sample(files: readonly SampledFile[], wanted: number): readonly SampledFile[] {
  const keyed = files.map((file) => ({ file, key: sha256(file.path) }))
  keyed.sort((a, b) => (a.key < b.key ? -1 : 1))
  const chosen: SampledFile[] = []
  let sum = 0
  for (const { file } of keyed) {
    // One huge file would be most of the input, and leave no room for the file system.
    if (file.bytes > wanted / 8 || sum + file.bytes > wanted) continue
    sum += file.bytes
    chosen.push(file)
  }
  return chosen
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

async function listFiles({ signal }: Shell): Promise<readonly SampledFile[]> {
  const argv = ['find', SAMPLED, '-xdev', '-type', 'f', '-readable', '-printf', '%s %p\\0'] as const
  const { stdout } = await run(argv, { signal })
  return stdout.split('\0').flatMap((line) => {
    const [, bytes, path] = /^(\d+) (.*)$/s.exec(line) ?? []
    return path === undefined ? [] : [{ path, bytes: Number(bytes) }]
  })
}

const description = z.object({
  imageBytes: z.number(),
  payloads: z.array(z.object({ dataBytes: z.number() })),
})

async function inspect(from: Shell, image: string): Promise<z.infer<typeof description>> {
  return description.parse(JSON.parse(await shell(from, `$OSFLASH --json inspect ${image}`)))
}
