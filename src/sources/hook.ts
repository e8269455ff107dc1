import { CertError } from '../errors.js'
import type { PemFiles } from './files.js'

/** How an ACME client called us: what it put into the environment, and the words behind the command's name. */
export interface HookCall {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly words: readonly string[]
}

/** What one ACME client hands to its hooks. */
export interface HookSource {
  /** How the client is called by its own documentation. */
  readonly client: string
  /** The line that makes it call us, for those who got it wrong. */
  readonly setUp: string
  /**
   * The certificates that it hands over in this call, or what is wrong with one of several; none where it calls for
   * another reason.
   * @throws CertError HOOK_INCOMPLETE
   */
  read(call: HookCall): readonly (PemFiles | CertError)[]
}

/** What is missing in a call, with the line that would have given it. */
export const incomplete = (what: string, { client, setUp }: Pick<HookSource, 'client' | 'setUp'>): CertError =>
  new CertError('HOOK_INCOMPLETE', `${client} handed over no ${what}`, {
    hint: `let ${client} call it: ${setUp}`,
  })
