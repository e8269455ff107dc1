import type { Parameter } from '../percent-encoding.js'
import type { Metadata } from './metadata.js'
import { PopRefusal } from './refusal.js'

/** The parameters of a call, each of the type that the metadata says. */
export type Given = Readonly<Record<string, string | undefined>>

const shapes: Readonly<Record<string, RegExp>> = {
  Boolean: /^(?:true|false)$/,
  Integer: /^-?\d{1,10}$/,
  Long: /^-?\d{1,19}$/,
}

/** The vendor's gateway passes over what it does not know; here a misspelt parameter is to be seen. */
const unknown = (name: string): PopRefusal =>
  new PopRefusal(400, 'InvalidParameter', `The API metadata knows no parameter ${name} here.`)

export const checkParameters = ({ parameters }: Metadata, sent: readonly Parameter[]): Given => {
  const given: Record<string, string> = Object.create(null)
  for (const [name, value] of sent) {
    const known = parameters.find((one) =>
      one.type === 'RepeatList' ? name.startsWith(`${one.name}.`) : one.name === name,
    )
    if (known === undefined) throw unknown(name)
    if (name in given) throw new PopRefusal(400, 'InvalidParameter', `The parameter ${name} was sent twice.`)
    if (value !== '' && shapes[known.type]?.test(value) === false)
      throw new PopRefusal(400, 'InvalidParameter', `The parameter ${name} is no ${known.type}.`)
    given[name] = value
  }
  const missing = parameters.find(({ name, required }) => required && !given[name])
  if (missing !== undefined)
    throw new PopRefusal(400, `Missing${missing.name}`, `${missing.name} is mandatory for this action.`)
  // An empty parameter is one that was not given.
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''))
}
