"""What the functions of sentinel/function_app do: commands of `irmexport`, with the app's settings."""
