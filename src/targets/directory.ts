import { chmod, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { archiveName, type CertificateBundle } from '../certificate/bundle.js'
import { firstCertificate } from '../certificate/x509.js'
import { type Options, text as textOption, toggle } from '../config/option.js'
import { createDurably, makeFolder, sweepTemporaries, syncFolder, temporaryBeside } from '../durable-file.js'
import { CertError, systemCode } from '../errors.js'
import { Secret } from '../secret.js'
import { type LayoutFiles, latestFolder, layoutFiles, sha256 } from './layout.js'
import { newerThan, standBack, strangerIn } from './newer.js'
import { toStanding } from './standing.js'
import type { Circumstances, DeployTarget, Outcome } from './target.js'
import { recordedAs, requireTrust, type TrustRule } from './untrusted.js'

export const directoryOptions = {
  path: textOption('the folder', { required: true, isPath: true }),
  'allow-older': toggle('point latest at an older certificate than it points at'),
  'allow-untrusted': toggle('point latest at the certificate of a test CA although it points at a trusted one'),
} satisfies Options

export interface DirectoryOptions {
  /** An absolute path. */
  readonly directory: string
  readonly allowOlder: boolean
  readonly trust: TrustRule
}

/**
 * The layout in a folder of this machine. There `latest` is a symbolic link to the archive, so that it changes from
 * one certificate to the next in one instant.
 */
export const directoryLayout = ({ directory, allowOlder, trust }: DirectoryOptions): DeployTarget => ({
  kind: 'directory',
  identity: `directory ${directory}`,
  name: `directory ${directory}`,
  settings: {
    path: directory,
    ...(allowOlder && { 'allow-older': true }),
    ...(trust.allowUntrusted && { 'allow-untrusted': true }),
  },
  serves: [],
  observe: async () => {
    const leaf = firstCertificate(await readFile(join(directory, latestFolder, 'cert.pem'), 'utf8').catch(() => ''))
    return {
      status: 'found',
      places: [{ place: join(directory, latestFolder), certificate: leaf && toStanding(leaf) }],
    }
  },
  plan: (bundle, circumstances) => {
    const files = layoutFiles(bundle)
    const archive = join(directory, archiveName(bundle))
    return [
      {
        id: 'archive',
        does: `archive ${Object.keys(files).length} files in ${archive}/`,
        run: () => explained(directory, () => writeArchive(archive, files)),
      },
      {
        id: 'latest',
        does: `point ${join(directory, latestFolder)} at it`,
        run: () =>
          explained(directory, () => writeLatest({ directory, allowOlder, trust }, bundle, files, circumstances)),
      },
    ]
  },
})

const writeArchive = async (folder: string, files: LayoutFiles): Promise<Outcome> => {
  const count = await fill(folder, files)
  return count === 0 ? { status: 'unchanged', note: 'already archived' } : { status: 'changed' }
}

const writeLatest = async (
  { directory, allowOlder, trust }: DirectoryOptions,
  bundle: CertificateBundle,
  files: LayoutFiles,
  { newest, onRecord }: Circumstances,
): Promise<Outcome> => {
  const link = join(directory, latestFolder)
  const standing = await readIfThere(join(link, 'cert.pem'))
  // What is not a certificate need not be kept.
  const there = standing === undefined ? undefined : firstCertificate(standing)
  const newer = allowOlder ? undefined : newerThan(bundle, [there, newest])
  const stranger = strangerIn(link, bundle, there)
  const odd = stranger === undefined ? [] : [stranger]
  if (newer !== undefined) return { ...standBack(newer), ...warningsOf(odd) }
  const isOther = there !== undefined && there.fingerprint.sha256 !== bundle.fingerprint.sha256
  const replaced = isOther && {
    place: link,
    standing: there,
    ways: [() => readIfThere(join(link, 'fullchain.pem')), recordedAs(onRecord, there.fingerprint.sha256)],
  }
  const unknown = replaced ? await requireTrust(bundle, trust, replaced) : []
  const target = await wholeFolder(directory, archiveName(bundle), files)
  if ((await linkTarget(link)) === target) return { status: 'unchanged', note: 'already there' }
  const temporary = temporaryBeside(link)
  await symlink(target, temporary)
  await rename(temporary, link).catch(async (error: unknown) => {
    await unlink(temporary)
    throw error
  })
  await syncFolder(directory)
  await forgetReplacements(directory, target)
  return { status: 'changed', ...warningsOf([...odd, ...unknown]) }
}

const warningsOf = (warnings: readonly string[]): Pick<Outcome, 'warnings'> =>
  warnings.length === 0 ? {} : { warnings }

// An archive is never overwritten, so the same leaf with a mended chain gets a folder beside it.
const replacementPrefix = '.latest-'
// In ms.
const longestRun = 3_600_000

/** The folder, relative to `directory`, that holds exactly these files. */
const wholeFolder = async (directory: string, archive: string, files: LayoutFiles): Promise<string> => {
  if (await holds(join(directory, archive), files)) return archive
  const replacement = `${replacementPrefix}${sha256(files['README.md']).slice(0, 12)}`
  await fill(join(directory, replacement), files)
  return replacement
}

const forgetReplacements = async (directory: string, keep: string): Promise<void> => {
  const names = (await readdir(directory)).filter((name) => name.startsWith(replacementPrefix) && name !== keep)
  // The link has just been made, by the clock of the file system, which is the one that counts here.
  const now = (await lstat(join(directory, latestFolder))).mtimeMs
  const ages = await Promise.all(names.map(async (name) => now - (await lstat(join(directory, name))).mtimeMs))
  // Another run, under another name, may be about to point at one.
  const old = names.filter((_name, i) => (ages[i] ?? 0) > longestRun)
  await Promise.all(old.map((name) => rm(join(directory, name), { recursive: true })))
}

const text = (body: string | Secret): string => (body instanceof Secret ? body.reveal() : body)

/** Creates the files that are not there; how many that were. */
const fill = async (folder: string, files: LayoutFiles): Promise<number> => {
  await makeFolder(dirname(folder))
  if (await makeOwn(folder)) {
    // Whoever is let into the folder above can read the certificates; the key has a mode of its own.
    await chmod(folder, 0o755)
  }
  await sweepTemporaries(folder)
  const entries: [string, string | Secret][] = Object.entries(files)
  const results = await Promise.all(
    entries.map(([name, body]) =>
      createDurably(join(folder, name), text(body), { mode: body instanceof Secret ? 0o600 : 0o644, mayBeLost: true }),
    ),
  )
  await syncFolder(folder)
  return results.filter((result) => result === 'written').length
}

/** @returns false where it is there already; @throws ENOTDIR where something else is: we may be root, and it a link */
const makeOwn = async (folder: string): Promise<boolean> => {
  try {
    await mkdir(folder)
    return true
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
    if ((await lstat(folder)).isDirectory()) return false
    throw Object.assign(new Error(`${folder} is no folder`), { code: 'ENOTDIR' })
  }
}

const holds = async (folder: string, files: LayoutFiles): Promise<boolean> => {
  const entries: [string, string | Secret][] = Object.entries(files)
  const same = await Promise.all(
    entries.map(async ([name, body]) => (await readIfThere(join(folder, name))) === text(body)),
  )
  return same.every(Boolean)
}

const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

const linkTarget = async (path: string): Promise<string | undefined> => {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

const hintFor = (code: string, directory: string): string => {
  if (['ENOSPC', 'EDQUOT'].includes(code)) return `there is no room left: df ${directory}`
  if (code === 'EROFS') {
    return 'the file system is mounted read-only; or this is the timer, which may write only where install.sh found that it has to: run ./install.sh again'
  }
  if (['EISDIR', 'ENOTEMPTY', 'EEXIST'].includes(code)) {
    return `${join(directory, latestFolder)} is a real folder and has to be a symbolic link: move it away`
  }
  if (['ENOTDIR', 'ELOOP'].includes(code)) {
    return `${latestFolder} has to be a symbolic link, and what it leads to a folder: look with ls -la ${directory}, and move away what is neither`
  }
  return `check that the folder can be written by this user: ls -ld ${directory}`
}

const explained = async (directory: string, write: () => Promise<Outcome>): Promise<Outcome> => {
  try {
    return await write()
  } catch (error) {
    const code = error instanceof CertError ? undefined : systemCode(error)
    if (code === undefined) throw error
    throw new CertError('FOLDER_UNWRITABLE', `writing the layout into ${directory}: ${code}`, {
      cause: error,
      // A full disk is emptied by somebody, but not by changing anything here.
      passing: ['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE'].includes(code),
      hint: hintFor(code, directory),
    })
  }
}
