import { readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { archiveName, type CertificateBundle } from '../certificate/bundle.js'
import { firstCertificate } from '../certificate/x509.js'
import { type Options, text, toggle, wholeNumber } from '../config/option.js'
import { CertError } from '../errors.js'
import { interrupted } from '../patience.js'
import { commandWords, runCommand } from './certificate-command.js'
import { latestFolder, sha256 } from './layout.js'
import type { DeployTarget, TargetSettings } from './target.js'

export const longestExec = 86_400
export const usualExec = 60

export const execOptions = {
  command: text('what is run once all other targets are done', { required: true, isCommand: true }),
  shell: toggle('have a shell (sh -c) run it'),
  timeout: wholeNumber('seconds that it may take', { min: 1, max: longestExec }),
} satisfies Options

export interface ExecOptions {
  readonly command: string
  readonly isForShell: boolean
  /** In ms. */
  readonly timeout: number
  readonly settings: TargetSettings
  readonly environment: Readonly<Record<string, string | undefined>>
}

/**
 * A command that puts the certificate to use, such as by having a server read it again: after all other targets, and only
 * when all of them are done.
 * @throws CertError USAGE
 */
export const exec = ({ command, isForShell, timeout, settings, environment }: ExecOptions): DeployTarget => {
  const words = commandWords(command, isForShell)
  const sum = sha256(JSON.stringify([command, isForShell]))
  const shown = shownAs(command, isForShell, sum)
  return {
    kind: 'exec',
    identity: `exec ${sum}`,
    name: `exec ${shown}`,
    settings,
    serves: [],
    afterOthers: true,
    // It leaves nothing behind that could be looked at.
    observe: async () => ({ status: 'found', places: [] }),
    plan: (bundle, { others }) => [
      {
        id: 'run',
        does: `run ${shown}`,
        run: async (signal) => {
          if (signal.aborted) throw interrupted()
          const { name, names, fingerprint } = bundle
          const directory = await folderOf(bundle, others)
          const told = { name, names, archive: archiveName(bundle), sha256: fingerprint.sha256, directory }
          await passing(runCommand({ words, timeout, environment }, told, signal))
          return { status: 'changed' }
        },
      },
    ],
  }
}

const longestShown = 60

/** One line, and another one for another command: what is called alike counts as the same place. */
const shownAs = (command: string, isForShell: boolean, sum: string): string => {
  const line = command.replace(/[\s\p{Cc}]+/gu, ' ').trim()
  const whole = isForShell ? `sh -c '${line}'` : line
  return line === command && whole.length <= longestShown
    ? whole
    : `${whole.slice(0, longestShown)}… (${sum.slice(0, 6)})`
}

/** What `latest` leads to in the first of the folders of the same deployment where that is this certificate. */
const folderOf = async (
  { fingerprint }: CertificateBundle,
  others: readonly DeployTarget[],
): Promise<string | undefined> => {
  for (const { kind, settings } of others) {
    const path = kind === 'directory' && settings['path']
    if (typeof path !== 'string') continue
    const folder = await realpath(join(path, latestFolder)).catch(() => undefined)
    const leaf = folder && (await readFile(join(folder, 'cert.pem'), 'utf8').catch(() => ''))
    if (leaf && firstCertificate(leaf)?.fingerprint.sha256 === fingerprint.sha256) return folder
  }
  return undefined
}

/** What stands in its way, such as a server that is just starting, is not for us to know. */
const passing = async (running: Promise<void>): Promise<void> => {
  try {
    await running
  } catch (error) {
    if (!(error instanceof CertError) || error.code !== 'PROGRAM_FAILED') throw error
    throw new CertError(error.code, error.message, { cause: error, hint: error.hint, passing: true })
  }
}
