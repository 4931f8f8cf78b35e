import { Type } from '../typebox.ts';

/** What the documents of the API are made of. */

export const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Union([type, Type.Null()]);
export const Moment = Type.String();
export const LsnText = Type.String();

export const ErrorBody = Type.Object({
  code: Type.String(),
  message: Type.String(),
  hint: Type.String(),
  details: Type.Record(Type.String(), Type.Unknown()),
});
