import type { CertificateFacts } from '../certificate/bundle.js'
import { CertError } from '../errors.js'
import { type CommandOptions, runCommand } from '../targets/certificate-command.js'
import { archiveOf } from '../targets/pulled-folder.js'

export interface PullExecOptions extends CommandOptions {
  /** Where a folder of the place lies. */
  readonly path: (folder: string) => string
  /** What the certificate is filed under; its first name unless told. */
  readonly name: string | undefined
  readonly signal: AbortSignal
  readonly onStart: (line: string) => void
}

type Leaf = Pick<CertificateFacts, 'names' | 'fingerprint'>

/** The user's command, told what is in use now. */
export const pullExec =
  ({ path, name, signal, onStart, ...options }: PullExecOptions) =>
  async (folder: string, { names, fingerprint }: Leaf): Promise<void> => {
    onStart(`running ${options.words[0]} for ${folder}`)
    const archive = archiveOf(folder)
    const told = { name: name ?? names[0] ?? archive, names, archive, sha256: fingerprint.sha256 }
    try {
      await runCommand(options, { ...told, directory: path(folder) }, signal)
    } catch (error) {
      if (!(error instanceof CertError) || error.code !== 'PROGRAM_FAILED') throw error
      throw new CertError(error.code, `--exec: ${error.message}`, { cause: error, hint: error.hint })
    }
  }
