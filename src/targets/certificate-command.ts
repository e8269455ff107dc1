import { runProgram, splitWords } from '../program.js'

export interface CommandOptions {
  readonly words: readonly string[]
  /** In ms. */
  readonly timeout: number
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** What a command is told of a certificate. */
export interface Told {
  readonly name: string
  readonly names: readonly string[]
  readonly archive: string
  readonly sha256: string
  /** The folder that holds its files, where there is one. */
  readonly directory: string | undefined
}

/** @throws CertError USAGE */
export const commandWords = (command: string, isForShell: boolean): readonly string[] =>
  isForShell ? ['/bin/sh', '-c', command] : splitWords(command, 'exec')

/**
 * A command of the user's that puts a certificate to use: it is told which one, and nothing of how that got there.
 * @throws CertError PROGRAM_FAILED, INTERRUPTED
 */
export const runCommand = async (
  { words, timeout, environment }: CommandOptions,
  { name, names, archive, sha256, directory }: Told,
  signal: AbortSignal,
): Promise<void> => {
  const variables = {
    ...withoutOurs(environment),
    ACME_OSS_NAME: name,
    ACME_OSS_NAMES: names.join(','),
    ACME_OSS_ARCHIVE: archive,
    ACME_OSS_SHA256: sha256,
    ...(directory !== undefined && { ACME_OSS_DIRECTORY: directory }),
  }
  await runProgram(words, { environment: variables, timeout, signal, lastLines: 5 })
}

const ours = /^(ALIBABA_?CLOUD|ALICLOUD|ALIYUN|ACME_OSS|OSS_(ACCESS|SESSION|SECURITY)|(SAVED_)?ALI_(KEY|SECRET)$)/i

/** Access keys are none of its business, and our own variables would be taken for ours by an acme-oss that it runs. */
const withoutOurs = (
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(Object.entries(environment).filter(([variable]) => !ours.test(variable)))
