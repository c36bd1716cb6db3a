/**
 * GRUB for an image: made by grub-mkimage, never by grub-install, so no disk is needed.
 *
 * 1. All of GRUB comes from one place: the new root if it has tool and modules, else the host.
 * 2. BIOS: boot.img's first 440 bytes are the boot code; at 0x5C the sector of the core image,
 *    at 0x66 two NOPs (0x90) in place of a jump that only old BIOSes need.
 * 3. The core image's first sector loads the rest: its block list is at 500 (sector, 8 bytes;
 *    count, 2 bytes; segment 0x820, 2 bytes).
 * 4. UEFI: one program with all modules, at the place where firmware looks without a boot entry.
 *
 * Not promised: Secure Boot.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ioError, OsflashError } from '../../errors.ts'
import { BOOT_CODE_BYTES } from '../../format/gpt.ts'
import { existsInside, insideRoot } from '../../system/inside-root.ts'
import { type BuildContext, runInRoot, runTool } from './context.ts'
import { addToRoot, rootFile } from './overlay.ts'

const SECTOR_BYTES = 512
const BLOCK_LIST_AT = 500
const KERNEL_SEGMENT = 0x820
const CORE_LBA_AT = 0x5c
const DRIVE_CHECK_AT = 0x66
const NOP = 0x90

type Platform = 'i386-pc' | 'x86_64-efi'

const SHARED_MODULES = [
  ...['normal', 'configfile', 'search', 'search_fs_uuid', 'search_label', 'part_gpt', 'part_msdos'],
  ...['ext2', 'xfs', 'btrfs', 'fat', 'linux', 'gzio', 'xzio', 'zstd', 'echo', 'test', 'true'],
  ...[
    'ls',
    'cat',
    'minicmd',
    'sleep',
    'halt',
    'reboot',
    'serial',
    'terminal',
    'loadenv',
    'all_video',
  ],
  ...['gfxterm', 'chain', 'regexp'],
]

const MODULES: Readonly<Record<Platform, readonly string[]>> = {
  'i386-pc': ['biosdisk', ...SHARED_MODULES],
  'x86_64-efi': ['efi_gop', ...SHARED_MODULES],
}

/** The parts of a disk that BIOS boots from. */
export interface BiosBoot {
  /** The first 440 bytes of sector 0. */
  readonly bootCode: Uint8Array
  /** Whole sectors, to be written at `coreLba`. */
  readonly core: Uint8Array
}

export interface GrubRequest {
  readonly root: string
  /** What the image runs before it reads grub.cfg. */
  readonly earlyConfig: string
}

/**
 * @param coreLba the sector at which the core image will lie
 * @throws OsflashError `missing-tool`, `process`
 */
export async function makeBiosBoot(
  request: GrubRequest,
  coreLba: number,
  context: BuildContext,
): Promise<BiosBoot> {
  const { image, bootImage } = await makeGrubImage(request, 'i386-pc', context)
  return { bootCode: patchBootImage(bootImage, coreLba), core: patchCore(image, coreLba) }
}

/** The path of a UEFI program, for `\EFI\BOOT\BOOTX64.EFI`. */
export async function makeEfiProgram(request: GrubRequest, context: BuildContext): Promise<string> {
  const { image } = await makeGrubImage(request, 'x86_64-efi', context)
  const path = join(context.scratch, 'bootx64.efi')
  await writeFile(path, image)
  return path
}

/** @throws RangeError when it is no boot.img */
export function patchBootImage(bootImage: Uint8Array, coreLba: number): Uint8Array {
  if (bootImage.length !== SECTOR_BYTES) throw new RangeError('boot.img is not one sector')
  const sector = Buffer.from(bootImage)
  sector.writeBigUInt64LE(BigInt(coreLba), CORE_LBA_AT)
  sector.fill(NOP, DRIVE_CHECK_AT, DRIVE_CHECK_AT + 2)
  return new Uint8Array(sector.subarray(0, BOOT_CODE_BYTES))
}

/** The core image with its own block list, padded to whole sectors. */
export function patchCore(core: Uint8Array, coreLba: number): Uint8Array {
  const sectors = Math.ceil(core.length / SECTOR_BYTES)
  const padded = Buffer.alloc(sectors * SECTOR_BYTES)
  padded.set(core)
  padded.writeBigUInt64LE(BigInt(coreLba + 1), BLOCK_LIST_AT)
  padded.writeUInt16LE(sectors - 1, BLOCK_LIST_AT + 8)
  padded.writeUInt16LE(KERNEL_SEGMENT, BLOCK_LIST_AT + 10)
  return padded
}

interface GrubImage {
  readonly image: Uint8Array
  readonly bootImage: Uint8Array
}

async function makeGrubImage(
  request: GrubRequest,
  platform: Platform,
  context: BuildContext,
): Promise<GrubImage> {
  const own =
    (await existsInside(request.root, '/usr/bin/grub-mkimage')) &&
    (await existsInside(request.root, `/usr/lib/grub/${platform}/moddep.lst`))
  return own ? imageByRoot(request, platform, context) : imageByHost(request, platform, context)
}

const mkimageArgv = (platform: Platform, folder: string) =>
  [
    ...['grub-mkimage', '-O', platform, '-d', `/usr/lib/grub/${platform}`, '-p', '/boot/grub'],
    ...['-c', `${folder}/grub-early.cfg`, '-o', `${folder}/grub-core.img`, ...MODULES[platform]],
  ] as const

async function imageByHost(
  { earlyConfig }: GrubRequest,
  platform: Platform,
  context: BuildContext,
): Promise<GrubImage> {
  const { scratch } = context
  await writeFile(join(scratch, 'grub-early.cfg'), earlyConfig)
  const [program = '', ...args] = mkimageArgv(platform, scratch)
  await runTool(context, [program, ...args])
  const bootImage = platform === 'i386-pc' ? await readBootImage('/') : new Uint8Array()
  return { image: await readFile(join(scratch, 'grub-core.img')), bootImage }
}

async function imageByRoot(
  { root, earlyConfig }: GrubRequest,
  platform: Platform,
  context: BuildContext,
): Promise<GrubImage> {
  const folder = '/boot'
  await addToRoot(root, [rootFile(`${folder}/grub-early.cfg`, earlyConfig)], context)
  const [program = '', ...args] = mkimageArgv(platform, folder)
  await runInRoot(context, root, { argv: [program, ...args] })
  const image = await readFile(await insideRoot(root, `${folder}/grub-core.img`))
  const made = [`${folder}/grub-early.cfg`, `${folder}/grub-core.img`]
  await runInRoot(context, root, { argv: ['rm', '-f', ...made] })
  const bootImage = platform === 'i386-pc' ? await readBootImage(root) : new Uint8Array()
  return { image, bootImage }
}

async function readBootImage(root: string): Promise<Uint8Array> {
  const path = await insideRoot(root, '/usr/lib/grub/i386-pc/boot.img')
  return readFile(path).catch((cause: unknown) => {
    if (root !== '/') throw ioError('reading boot.img of the new root', cause)
    throw new OsflashError('missing-tool', 'reading /usr/lib/grub/i386-pc/boot.img: no such file', {
      cause,
      hints: ['apt-get install grub-pc-bin', 'or put grub-pc-bin into source.debian.packages'],
    })
  })
}
