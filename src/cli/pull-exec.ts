import type { CertificateFacts } from '../certificate/bundle.js'
import { CertError } from '../errors.js'
import { runProgram } from '../program.js'
import { archiveOf } from '../targets/pulled-folder.js'

export interface PullExecOptions {
  readonly words: readonly string[]
  /** Where a folder of the place lies. */
  readonly path: (folder: string) => string
  /** In ms. */
  readonly timeout: number
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What the certificate is filed under; its first name unless told. */
  readonly name: string | undefined
  readonly signal: AbortSignal
  readonly onStart: (line: string) => void
}

type Leaf = Pick<CertificateFacts, 'names' | 'fingerprint'>

/** The user's command, told what is in use now, and nothing of how it was fetched. */
export const pullExec =
  ({ words, path, timeout, environment, name, signal, onStart }: PullExecOptions) =>
  async (folder: string, { names, fingerprint }: Leaf): Promise<void> => {
    onStart(`running ${words[0]} for ${folder}`)
    const variables = {
      ...withoutOurs(environment),
      ACME_OSS_NAME: name ?? names[0] ?? archiveOf(folder),
      ACME_OSS_NAMES: names.join(','),
      ACME_OSS_ARCHIVE: archiveOf(folder),
      ACME_OSS_SHA256: fingerprint.sha256,
      ACME_OSS_DIRECTORY: path(folder),
    }
    try {
      await runProgram(words, { environment: variables, timeout, signal, lastLines: 5 })
    } catch (error) {
      if (!(error instanceof CertError) || error.code !== 'PROGRAM_FAILED') throw error
      throw new CertError(error.code, `--exec: ${error.message}`, { cause: error, hint: error.hint })
    }
  }

/** Access keys are none of its business, and our own variables would be taken for ours by an acme-oss that it runs. */
const withoutOurs = (
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(
    Object.entries(environment).filter(
      ([variable]) => !/^(ALIBABA_?CLOUD|ALICLOUD|ALIYUN|ACME_OSS|OSS_(ACCESS|SESSION|SECURITY))/i.test(variable),
    ),
  )
