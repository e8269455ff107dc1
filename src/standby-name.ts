export const standbyEnd = '~standby'

/** Under which name the certificate that is kept ready beside another lies. Nothing else may be called so. */
export const standbyName = (name: string): string => `${name}${standbyEnd}`

export const isStandby = (name: string): boolean => name.endsWith(standbyEnd)
